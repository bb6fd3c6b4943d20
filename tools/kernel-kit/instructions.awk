# SPDX-License-Identifier: MIT
#
# Takes arm64's instructions out of what the compiler has made of a kernel's file:
#
#   awk -v machine=x86_64|aarch64 -v tree=DIRECTORY/ -f instructions.awk FILE.s
#
# The compiler marks what comes from inline assembly, and says where it stands in the source. Most of it is never reached.
# Where it is, the kit is told which instruction it was, and the kernel stops. Barriers go without a word: one thread calls.

function stop(where,   label) {
  label = ".Lkit_instruction" ++labels
  if (machine == "x86_64")
    printf "\tleaq %s(%%rip), %%rdi\n\tandq $-16, %%rsp\n\tcall kit_instruction@PLT\n", label
  else
    printf "\tadrp x0, %s\n\tadd x0, x0, :lo12:%s\n\tbl kit_instruction\n", label, label
  printf "\t.pushsection .rodata.kit,\"a\"\n%s:\n\t.string \"%s\"\n\t.popsection\n", label, where
}

# The place in the source that a line like '# 19 "FILE" 1' names.
function place(line,   parts) {
  split(line, parts, "\"")
  gsub(/[^0-9]/, "", parts[1])
  return (index(parts[2], tree) == 1 ? substr(parts[2], length(tree) + 1) : parts[2]) ":" parts[1]
}

/^[ \t]*\.cfi_startproc/ { in_function = 1 }
/^[ \t]*\.cfi_endproc/ { in_function = 0 }
/^[ \t]*#NO_APP/ {
  if (is_assembly && has_instructions)
    stop(where)
  is_assembly = 0
  next
}
/^[ \t]*#APP/ {
  is_assembly = in_function
  has_instructions = 0
  where = ""
  next
}
is_assembly {
  if (where == "" && $0 ~ /^[ \t]*(#|\/\/) [0-9]+ "/)
    where = place($0)
  if ($0 !~ /^[ \t]*(#|\/\/|$)/ && $0 !~ /^[ \t]*(nop|isb|d[ms]b[ \t]+[a-z]+)[ \t;]*$/)
    has_instructions = 1
  next
}
{ print }
