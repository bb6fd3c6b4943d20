# A planted bug: the last page of every range stays mapped.
# in: arch/arm64/kvm/pkvm.c
# expect: exposed in unmap
/^int pkvm_pgtable_stage2_unmap(/,/^}/ s/^\treturn __pkvm_pgtable_stage2_/\tsize -= PAGE_SIZE;\n&/
