# SPDX-License-Identifier: GPL-2.0
# How the benchmark's and the demonstration's programs are built, from parts of their own,
# of the benchmark and of the command. Set before it is included:
#
#   program	its name
#   src		the including directory
#   own, bench, tools	objects from there, from bench/ and from tools/
#   libs	further libraries
#
# Needs a C compiler, liburing, and the library, whose own makefile keeps it current.

MAKEFLAGS += --no-builtin-rules
top := $(abspath $(src)/..)
O ?= $(top)/build/$(program)
LIB_O ?= $(top)/build/lib
CC ?= gcc
CFLAGS ?= -O2 -g
all_cflags = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wmissing-prototypes \
	-Wstrict-prototypes -Wno-format-truncation -Werror -MMD -MP \
	-I$(top)/include/uapi -I$(top)/lib -I$(top)/tools -I$(top)/bench $(CFLAGS)

objs := $(own:%=$(O)/%.o) $(bench:%=$(O)/%.o) $(tools:%=$(O)/%.o)
lib := $(LIB_O)/libdmabuf_rw.a $(LIB_O)/gpu/gpu.a

.PHONY: all clean lib
all: $(O)/$(program)

lib:
	@$(MAKE) --no-print-directory -C $(top)/lib O=$(LIB_O)
$(lib): lib ;

$(O):
	mkdir -p $@

$(own:%=$(O)/%.o): $(O)/%.o: $(src)/%.c | $(O)
	$(CC) $(all_cflags) -c -o $@ $<

$(bench:%=$(O)/%.o): $(O)/%.o: $(top)/bench/%.c | $(O)
	$(CC) $(all_cflags) -c -o $@ $<

$(tools:%=$(O)/%.o): $(O)/%.o: $(top)/tools/%.c | $(O)
	$(CC) $(all_cflags) -c -o $@ $<

$(O)/$(program): $(objs) $(lib)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(objs) $(lib) -luring $(libs)

clean:
	rm -f $(objs) $(objs:.o=.d) $(O)/$(program)

-include $(objs:.o=.d)
