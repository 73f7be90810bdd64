#include "mltq_left_out.h"

MLTQ_LEFT_OUT(mltq_conv_2d_s8)
