# SPDX-License-Identifier: MIT
# The traditional path: page tables that the host maintains itself.
# shellcheck shell=bash disable=SC2034
tree_sources=(
  arch/arm64/kvm/hyp/pgtable.c
  arch/arm64/kvm/mmu.c
  virt/kvm/kvm_main.c
)
# What of this list of the Makefile is not a file that a patch has added.
makefile=arch/arm64/kvm/Makefile
makefile_list=kvm-y
known_names=(
  arch_timer arm at config debug emulate-nested fpsimd guest handle_exit hypercalls inject_fault mmio mmu nested pkvm psci pvtime
  reset stacktrace sys_regs trng va_layout vgic-sys-reg-v3 vmid
)
kit_sources=(traditional/traditional.c)
flags=()
