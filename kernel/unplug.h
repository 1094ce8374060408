/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _DRW_UNPLUG_H
#define _DRW_UNPLUG_H

int drw_unplug_init(void);
void drw_unplug_exit(void);

#endif /* _DRW_UNPLUG_H */
