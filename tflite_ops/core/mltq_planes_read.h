/* The ways to store planes that this program reads. An exported project has a file of this name
 * with those of its layers, so that it has no code for others. */
#ifndef TFLITE_OPS_CORE_MLTQ_PLANES_READ_H_
#define TFLITE_OPS_CORE_MLTQ_PLANES_READ_H_

#include "mltq_layer.h"

#define MLTQ_PLANES_READ (MLTQ_PLANES_CODED | MLTQ_PLANES_BITS | MLTQ_PLANES_INDICES)

#endif /* TFLITE_OPS_CORE_MLTQ_PLANES_READ_H_ */
