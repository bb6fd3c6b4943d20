// How kernels print the events that are known here, from 3.x to 7.3: the print formats of `CanonicalFormats.known` read backwards, and
// those that older kernels had. `LinePattern` says how a pattern is written.

/// The patterns of all events that are known here.
enum LinePatterns {
  /// The patterns of `event`, which are tried in this order; none of an event that is not known here.
  static func patterns(of event: String) -> [String] { known[event] ?? [] }

  private static let known: [String: [String]] = Dictionary(
    uniqueKeysWithValues: declarations.split(separator: "\n\n").map { declaration in
      let lines = declaration.split(separator: "\n").map(String.init)
      return (lines[0], Array(lines.dropFirst()))
    })

  /// Each event: its name, then a pattern a line.
  private static let declarations = #"""
    kvm_access_fault
    IPA: {ipa}

    kvm_ack_irq
    irqchip {irqchip#} pin {pin#}

    kvm_age_hva
    mmu notifier age hva: {start} -- {end}

    kvm_arm_clear_debug
    flags: {guest_debug}

    kvm_arm_set_dreg32
    {name"}: {value}

    kvm_arm_set_regset
    {len#}: {name"}

    kvm_arm_setup_debug
    vcpu: {vcpu}, flags: {guest_debug}

    kvm_dirty_ring_exit
    vcpu {vcpu_id#}

    kvm_dirty_ring_push
    ring {index#}: dirty {dirty_index} reset {reset_index} slot {slot#} offset {offset} (used {})

    kvm_dirty_ring_reset
    ring {index#}: dirty {dirty_index} reset {reset_index} (used {})

    kvm_entry
    PC: {vcpu_pc}

    kvm_exit
    {ret=IRQ 0,SERROR 1,TRAP 2,HYP_GONE 0xbadca11}: HSR_EC: {esr_ec} ({}), PC: {vcpu_pc}
    {ret=IRQ 0,SERROR 1,TRAP 2,HYP_GONE 0xbadca11}: HSR_EC: {esr_ec}, PC: {vcpu_pc}
    PC: {vcpu_pc}

    kvm_forward_sysreg_trap
    {pc} {is_read=R 1,W 0} ({})

    kvm_fpu
    {load=unload 0,load 1}

    kvm_get_timer_map
    VCPU: {vcpu_id#}, dv: {direct_vtimer#}, dp: {direct_ptimer#}, ev: {emul_vtimer#}, ep: {emul_ptimer#}

    kvm_guest_fault
    ipa {ipa}, hsr {hsr}, hxfar {hxfar}, pc {vcpu_pc}

    kvm_halt_poll_ns
    vcpu {vcpu_id#}: halt_poll_ns {new#} ({grow=grow 1,shrink 0} {old#})

    kvm_handle_sys_reg
    HSR {hsr}

    kvm_hvc_arm64
    HVC at {vcpu_pc} (r0: {r0}, imm: {imm})

    kvm_inject_nested_exception
    {type=SYNC 0,IRQ 1,FIQ 2,SERROR 3}: esr_el2 {esr_el2} elr_el2: {pc} spsr_el2: {spsr_el2} (M: {source_mode=MODES}) hcr_el2: {hcr_el2}

    kvm_irq_line
    Inject {} interrupt ({type#}), vcpu->idx: {vcpu_idx#}, num: {irq_num#}, level: {level#}

    kvm_mmio
    mmio {type=unsatisfied-read 0,read 1,write 2} len {len#} gpa {gpa} val {val}

    kvm_mmio_emulate
    Emulate MMIO at: {vcpu_pc} (instr: {instr}, cpsr: {cpsr})

    kvm_mmio_nisv
    ipa {ipa}, esr {esr}, far {far}, pc {vcpu_pc}

    kvm_nested_eret
    elr_el2: {elr_el2} spsr_el2: {spsr_el2} (M: {target_mode=MODES}) hcr_el2: {hcr_el2}

    kvm_set_guest_debug
    vcpu: {vcpu}, flags: {guest_debug}

    kvm_set_irq
    gsi {gsi#} level {level#} source {irq_source_id#}

    kvm_set_spte_hva
    mmu notifier set pte hva: {hva}

    kvm_set_way_flush
    S/W flush at {vcpu_pc} (cache {cache=on 1,off 0})

    kvm_sys_access
    PC: {vcpu_pc} {name"} ({Op0#},{Op1#},{CRn#},{CRm#},{Op2#}) {is_write=write 1,read 0}

    kvm_test_age_hva
    mmu notifier test age hva: {hva}

    kvm_timer_emulate
    arch_timer_ctx_index: {timer_idx#} (should_fire: {should_fire#})

    kvm_timer_hrtimer_expire
    arch_timer_ctx_index: {timer_idx#}

    kvm_timer_restore_state
    CTL: {ctl} CVAL: {cval} arch_timer_ctx_index: {timer_idx#}

    kvm_timer_save_state
    CTL: {ctl} CVAL: {cval} arch_timer_ctx_index: {timer_idx#}

    kvm_timer_update_irq
    VCPU: {vcpu_id#}, IRQ {irq#}, level {level#}

    kvm_toggle_cache
    VM op at {vcpu_pc} (cache was {was=on 1,off 0}, now {now=on 1,off 0})

    kvm_unmap_hva_range
    mmu notifier unmap range: {start} -- {end}

    kvm_userspace_exit
    reason {reason=restart 10} ({errno-})
    reason error ({errno-})
    reason {errno=KVM_EXIT_INTR -4} ({reason#})
    reason {} ({reason#})

    kvm_vcpu_wakeup
    {waited=wait 1,poll 0} time {ns#} ns, polling {valid=valid 1,invalid 0}

    kvm_wfx_arm64
    guest executed wf{is_wfe=e 1,i 0} at: {vcpu_pc}

    trap_reg
    {fn"} write to reg {reg#} ({write_value})
    {fn"} read from reg {reg#} ({write_value})

    vgic_update_irq_pending
    VCPU: {vcpu_id#}, IRQ {irq#}, level: {level#}

    contention_begin
    {lock_addr} (flags={flags|SPIN 0x1,READ 0x2,WRITE 0x4,RT 0x8,PERCPU 0x10,MUTEX 0x20})

    contention_end
    {lock_addr} (ret={ret#})

    tracing_mark_write
    {buf"}

    print
    tracing_mark_write: {buf"}
    {ip}: {buf"}
    {}: {buf"}
    """#

  /// What `MODES` stands for: `PSR_MODE_MASK` and `PSR_MODE32_BIT` by name.
  static let modes =
    "EL0t 0x0,EL1t 0x4,EL1h 0x5,EL2t 0x8,EL2h 0x9,EL3t 0xc,EL3h 0xd,32-bit USR 0x10,32-bit FIQ 0x11,32-bit IRQ 0x12,"
    + "32-bit SVC 0x13,32-bit ABT 0x17,32-bit HYP 0x1a,32-bit UND 0x1b,32-bit SYS 0x1f"
}
