// The header that a TensorFlow Lite Micro library for Arduino is found by.
#pragma once
