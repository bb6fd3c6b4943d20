# A planted bug: the right to write goes to who has not asked for it.
# in: arch/arm64/kvm/hyp/pgtable.c
# expect: exposed in relax_perms
/^int kvm_pgtable_stage2_relax_perms(/,/^}/ s/^\tif (prot & KVM_PGTABLE_PROT_W)$/\tif (!(prot \& KVM_PGTABLE_PROT_W))/
