"""The native rules under the names that Bazel's own tools load from rules_cc.

Debian's bazel-bootstrap is older than Debian's rules_cc; this stands in for it in CI.
"""

cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
objc_library = native.objc_library
