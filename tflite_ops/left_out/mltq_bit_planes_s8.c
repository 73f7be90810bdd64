#include "mltq_left_out.h"

MLTQ_LEFT_OUT(mltq_bit_planes_s8)
