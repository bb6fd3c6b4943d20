/* SPDX-License-Identifier: MIT */
/* For the interface of backends, which the kernel's side includes too. */
#include <linux/types.h>
