# SPDX-License-Identifier: MIT
# The path of pKVM, on the host's side. Linked with what the traditional path has of the tree.
# shellcheck shell=bash disable=SC2034
tree_sources=(
  arch/arm64/kvm/pkvm.c
  lib/rbtree.c
)
kit_sources=(pkvm/host.c pkvm/start.c)
flags=(-I "$kit/el2" -I "$kit/pkvm")
