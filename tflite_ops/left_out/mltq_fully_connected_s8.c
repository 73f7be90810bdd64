#include "mltq_left_out.h"

MLTQ_LEFT_OUT(mltq_fully_connected_s8)
