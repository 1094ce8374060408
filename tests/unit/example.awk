# SPDX-License-Identifier: MIT
#
# example.awk - the code that a manual page shows in its section EXAMPLES, as C.
#
# As mandoc shows it: of all escapes, examples need the backslash.

/^\.Sh/ { examples = /^\.Sh EXAMPLES/ }
/^\.Ed/ { code = 0 }
code {
	gsub(/\\e/, "\001")
	if (/\\/)
		print "#error an example has an escape other than \\e"
	gsub("\001", "\\")
	print
}
examples && /^\.Bd -literal/ {
	code = 1
	printf "#line %d \"%s\"\n", NR + 1, FILENAME
}
