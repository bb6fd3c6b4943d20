# No bug: the end of the range has a name, and all lines below another number.
# in: arch/arm64/kvm/pkvm.c
# expect: no difference
/^int pkvm_pgtable_stage2_unmap(/,/^}/ {
  s/^{$/&\n\tu64 end = addr + size;/
  s/addr, addr + size)/addr, end)/
}
