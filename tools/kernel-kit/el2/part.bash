# SPDX-License-Identifier: MIT
# EL2 of pKVM: a world of its own, whose symbols are prefixed as arch/arm64/kvm/hyp/nvhe/Makefile has it.
# shellcheck shell=bash disable=SC2034
tree_sources=(
  arch/arm64/kvm/hyp/pgtable.c
  arch/arm64/kvm/hyp/nvhe/early_alloc.c
  arch/arm64/kvm/hyp/nvhe/hyp-main.c
  arch/arm64/kvm/hyp/nvhe/mem_protect.c
  arch/arm64/kvm/hyp/nvhe/mm.c
  arch/arm64/kvm/hyp/nvhe/page_alloc.c
  arch/arm64/kvm/hyp/nvhe/pkvm.c
  arch/arm64/kvm/hyp/nvhe/setup.c
  arch/arm64/kvm/hyp/nvhe/sys_regs.c
)
# What of this list of the Makefile is not a file that a patch has added.
makefile=arch/arm64/kvm/hyp/nvhe/Makefile
makefile_list=hyp-obj-y
known_names=(
  cache debug-sr early_alloc ffa host hyp-init hyp-main hyp-smp mem_protect mm page_alloc pkvm psci-relay setup stacktrace
  switch sys_regs sysreg-sr timer-sr tlb
)
# What it defines takes the place of the tree's.
kit_sources=(el2/machine.c)
flags=(
  -D__KVM_NVHE_HYPERVISOR__ -D__DISABLE_EXPORTS -D__DISABLE_TRACE_MMIO__ -I "$kit/el2"
  -Dkit_read_sysreg=kit_el2_read_sysreg -Dkit_write_sysreg=kit_el2_write_sysreg
)
