# Lists what changes of one line a kernel's file allows:
#
#   awk -v file=NAME -f candidates.awk FILE
#
# But what runs once when the kernel starts. A row each: file, line, function, kind of change, and the line as it becomes. Only one change of a kind and line.

function row(kind, text) {
  if (text != $0)
    print file "\t" FNR "\t" name "\t" kind "\t" text
}

# The line with the first of `from` outside of strings made `to`.
function swap(from, to,   at) {
  at = index($0, from)
  if (at == 0 || (index($0, "\"") > 0 && index($0, "\"") < at))
    return $0
  return substr($0, 1, at - 1) to substr($0, at + length(from))
}

function is_balanced(text,   opened, closed) {
  opened = gsub(/[(]/, "", text)
  closed = gsub(/[)]/, "", text)
  return opened == closed
}

# The first number that stands alone, one more; 1 becomes 0.
function other_number(   at, before, number) {
  if (!match($0, /[^A-Za-z0-9_."][0-9]+[^A-Za-z0-9_."]/))
    return $0
  at = RSTART + 1
  number = substr($0, at, RLENGTH - 2)
  before = substr($0, 1, at - 1)
  if (index(before, "\""))
    return $0
  return before (number == 1 ? 0 : number + 1) substr($0, at + length(number))
}

/^#[ \t]*if/ { conditions++ }
/^#[ \t]*endif/ { conditions-- }
# A function's name is on the last line before its body that has a parenthesis at the left margin.
!is_body && /^[a-z].*[(]/ && !/;[ \t]*$/ {
  is_start = /__init/
  name = $0
  sub(/[(].*/, "", name)
  sub(/.*[ \t*]/, "", name)
}
/^\{/ { is_body = 1; next }
/^\}/ { is_body = 0 }
/\/\*/ { is_comment = 1 }
{ is_code = is_body && !is_start && !is_comment && !conditions && !/\\$/ && !/^#/ && !/^[ \t]*\/\// }
/\*\// { is_comment = 0 }
!is_code { next }
{
  row("relation", swap(" < ", " <= "))
  row("relation", swap(" <= ", " < "))
  row("relation", swap(" > ", " >= "))
  row("relation", swap(" >= ", " > "))
  row("arithmetic", swap(" + ", " - "))
  row("arithmetic", swap(" - ", " + "))
  row("logic", swap(" && ", " || "))
  row("logic", swap(" || ", " && "))
  row("constant", other_number())
}
/^\t+(if|while|\} else if|else if) \(.*\)( \{)?$/ && is_balanced($0) {
  open = index($0, "(")
  close_length = $0 ~ /\{$/ ? 2 : 0
  row("condition", substr($0, 1, open) "!(" substr($0, open + 1, length($0) - open - close_length) ")" (close_length ? " {" : ""))
}
/^\t+[A-Za-z_*].*;$/ && is_balanced($0) && !/^\t+(return|break|continue|goto|fallthrough|case|default|else|if|for|while|do|struct|const|static|unsigned|enum|union|bool|int|u8|u16|u32|u64|s8|s64|size_t|void|phys_addr_t|kvm_pte_t|pkvm_handle_t)[ ;]/ {
  match($0, /^\t+/)
  row("statement", substr($0, 1, RLENGTH) ";")
}
