// The events that Perfetto has messages of its own for, by their field number in FtraceEvent (protos/perfetto/trace/ftrace/
// ftrace_event.proto, kvm.proto, hyp.proto, hypervisor.proto). Perfetto orders the fields by name, and numbers them from 1 on.
//
// Its messages are older than some events and fields of today's kernels: `errno` of `kvm_userspace_exit` and `emul_vtimer` of
// `kvm_get_timer_map` are not recorded, so that these events' formats have no such field; and `kvm_mmio_nisv`, the dirty ring,
// `kvm_nested_eret` and `lock:contention_begin` come as events that describe themselves.
//
// Of a field that it knows the recorder writes every value, zeros too (CpuReader::ParseField). One that is not in a message is one
// that the host's kernel has not.

extension PerfettoEvents {
  /// An event with a message of Perfetto's own.
  struct Message {
    /// The field of FtraceEvent that holds it.
    let number: Int
    let system: String
    let name: String
    /// The fields in the order of their numbers.
    let fields: [(name: String, type: String?)]
  }

  static let messages: [Message] = declarations.split(separator: "\n").map { line in
    let parts = line.split(separator: ":", omittingEmptySubsequences: false)
    let head = parts[0].split(separator: " ")
    let fields = parts[1].split(separator: ",").map { field in
      let words = field.split(separator: " ")
      return (name: String(words.last!), type: words.count > 1 ? String(words[0]) : nil)
    }
    return Message(number: Int(head[0])!, system: String(head[1]), name: String(head[2]), fields: fields)
  }

  /// The print formats of messages that lack a field of the kernel's event.
  static let printFormats = [
    "kvm_get_timer_map": #"""
    "VCPU: %ld, dv: %d, dp: %d, ep: %d", REC->vcpu_id, REC->direct_vtimer, REC->direct_ptimer, REC->emul_ptimer
    """#,
    "kvm_userspace_exit": #""reason %s (%d)", \#(CanonicalFormats.exitReasons), REC->reason"#,
  ]

  /// Number, system, name, and the fields; those of events that `CanonicalFormats` does not know have types.
  private static let declarations = """
    3 ftrace print: ip, buf
    368 kvm kvm_access_fault: ipa
    369 kvm kvm_ack_irq: irqchip, pin
    370 kvm kvm_age_hva: end, start
    371 kvm kvm_age_page: u64 gfn, u64 hva, u8 level, u8 referenced
    372 kvm kvm_arm_clear_debug: guest_debug
    373 kvm kvm_arm_set_dreg32: name, value
    374 kvm kvm_arm_set_regset: len, name
    375 kvm kvm_arm_setup_debug: guest_debug, vcpu
    376 kvm kvm_entry: vcpu_pc
    377 kvm kvm_exit: esr_ec, ret, vcpu_pc
    378 kvm kvm_fpu: load
    379 kvm kvm_get_timer_map: direct_ptimer, direct_vtimer, emul_ptimer, vcpu_id
    380 kvm kvm_guest_fault: hsr, hxfar, ipa, vcpu_pc
    381 kvm kvm_handle_sys_reg: hsr
    382 kvm kvm_hvc_arm64: imm, r0, vcpu_pc
    383 kvm kvm_irq_line: irq_num, level, type, vcpu_idx
    384 kvm kvm_mmio: gpa, len, type, val
    385 kvm kvm_mmio_emulate: cpsr, instr, vcpu_pc
    386 kvm kvm_set_guest_debug: guest_debug, vcpu
    387 kvm kvm_set_irq: gsi, irq_source_id, level
    388 kvm kvm_set_spte_hva: hva
    389 kvm kvm_set_way_flush: cache, vcpu_pc
    390 kvm kvm_sys_access: CRm, CRn, Op0, Op1, Op2, is_write, name, vcpu_pc
    391 kvm kvm_test_age_hva: hva
    392 kvm kvm_timer_emulate: should_fire, timer_idx
    393 kvm kvm_timer_hrtimer_expire: timer_idx
    394 kvm kvm_timer_restore_state: ctl, cval, timer_idx
    395 kvm kvm_timer_save_state: ctl, cval, timer_idx
    396 kvm kvm_timer_update_irq: irq, level, vcpu_id
    397 kvm kvm_toggle_cache: now, vcpu_pc, was
    398 kvm kvm_unmap_hva_range: end, start
    399 kvm kvm_userspace_exit: reason
    400 kvm kvm_vcpu_wakeup: ns, valid, waited
    401 kvm kvm_wfx_arm64: is_wfe, vcpu_pc
    402 kvm trap_reg: fn, is_write, reg, write_value
    403 kvm vgic_update_irq_pending: irq, level, vcpu_id
    476 hyp hyp_enter:
    477 hyp hyp_exit:
    478 hyp host_hcall: u32 id, u32 invalid
    479 hyp host_smc: u64 id, u32 forwarded
    480 hyp host_mem_abort: u64 esr, u64 addr
    578 hyp host_ffa_call: u64 func_id, u64 res_a1, u64 res_a2, u64 res_a3, u64 res_a4, s32 handled, s32 err
    580 hyp iommu_idmap: u64 from, u64 to, s32 prot
    581 hyp psci_mem_protect: u64 count, u64 was
    582 hypervisor host_hcall: u32 id, u32 invalid
    583 hypervisor host_smc: u64 id, u32 forwarded
    584 hypervisor hyp_exit:
    585 hypervisor iommu_idmap: u64 from, u64 to, s32 prot
    586 hypervisor psci_mem_protect: u64 count, u64 was
    587 hypervisor host_mem_abort: u64 esr, u64 addr
    588 hypervisor hyp_enter:
    589 hypervisor iommu_idmap_complete: u32 map
    590 hypervisor vcpu_illegal_trap: u64 esr
    """
}
