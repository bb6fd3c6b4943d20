// The events that are known without a recording's help: their names, fields and print formats, as the format files of a 7.3 arm64 kernel
// have them (include/trace/events/kvm.h, arch/arm64/kvm/trace_arm.h, arch/arm64/kvm/vgic/trace.h, include/trace/events/lock.h). Texts that
// a kernel keeps by address are in the record.

extension CanonicalFormats {
  /// An event that is known here.
  struct Known {
    let system: String
    let name: String
    let fields: [Field]
    let printFormat: String
  }

  static let known: [Known] = declarations.split(separator: "\n\n").map { declaration in
    let lines = declaration.split(separator: "\n")
    let name = lines[0].split(separator: ":")
    return Known(
      system: String(name[0]), name: String(name[1]), fields: lines[1].split(separator: "; ").map(field),
      printFormat: String(lines[2]))
  }

  /// A field from its declaration, such as `unsigned long vcpu_pc`.
  private static func field(_ declaration: Substring) -> Field {
    let space = declaration.lastIndex(of: " ")!
    let type = String(declaration[..<space])
    let size =
      switch type {
      case "char[]": 0
      case "bool", "u8": 1
      case "int", "unsigned int", "u32", "__u32", "__data_loc char[]": 4
      default: 8
      }
    return Field(
      type: type, name: String(declaration[declaration.index(after: space)...]), size: size,
      isSigned: type == "int")
  }

  /// What the kernel prints for the `reason` of `kvm_userspace_exit`.
  static let exitReasons = #"""
    __print_symbolic(REC->reason, { 0, "KVM_EXIT_" "UNKNOWN" }, { 1, "KVM_EXIT_" "EXCEPTION" }, { 2, "KVM_EXIT_" "IO" }, { 3, "KVM_EXIT_" "HYPERCALL" }, { 4, "KVM_EXIT_" "DEBUG" }, { 5, "KVM_EXIT_" "HLT" }, { 6, "KVM_EXIT_" "MMIO" }, { 7, "KVM_EXIT_" "IRQ_WINDOW_OPEN" }, { 8, "KVM_EXIT_" "SHUTDOWN" }, { 9, "KVM_EXIT_" "FAIL_ENTRY" }, { 10, "KVM_EXIT_" "INTR" }, { 11, "KVM_EXIT_" "SET_TPR" }, { 12, "KVM_EXIT_" "TPR_ACCESS" }, { 13, "KVM_EXIT_" "S390_SIEIC" }, { 14, "KVM_EXIT_" "S390_RESET" }, { 15, "KVM_EXIT_" "DCR" }, { 16, "KVM_EXIT_" "NMI" }, { 17, "KVM_EXIT_" "INTERNAL_ERROR" }, { 18, "KVM_EXIT_" "OSI" }, { 19, "KVM_EXIT_" "PAPR_HCALL" }, { 20, "KVM_EXIT_" "S390_UCONTROL" }, { 21, "KVM_EXIT_" "WATCHDOG" }, { 22, "KVM_EXIT_" "S390_TSCH" }, { 23, "KVM_EXIT_" "EPR" }, { 24, "KVM_EXIT_" "SYSTEM_EVENT" }, { 25, "KVM_EXIT_" "S390_STSI" }, { 26, "KVM_EXIT_" "IOAPIC_EOI" }, { 27, "KVM_EXIT_" "HYPERV" }, { 28, "KVM_EXIT_" "ARM_NISV" }, { 29, "KVM_EXIT_" "X86_RDMSR" }, { 30, "KVM_EXIT_" "X86_WRMSR" })
    """#

  /// Each in three lines: the name, the fields, the print format.
  private static let declarations = #"""
    kvm:kvm_access_fault
    unsigned long ipa
    "IPA: %lx", REC->ipa

    kvm:kvm_ack_irq
    unsigned int irqchip; unsigned int pin
    "irqchip %d pin %u", REC->irqchip, REC->pin

    kvm:kvm_age_hva
    unsigned long start; unsigned long end
    "mmu notifier age hva: %#016lx -- %#016lx", REC->start, REC->end

    kvm:kvm_arm_clear_debug
    __u32 guest_debug
    "flags: 0x%08x", REC->guest_debug

    kvm:kvm_arm_set_dreg32
    __data_loc char[] name; __u64 value
    "%s: 0x%llx", __get_str(name), REC->value

    kvm:kvm_arm_set_regset
    __data_loc char[] name; int len
    "%d: %s", REC->len, __get_str(name)

    kvm:kvm_arm_setup_debug
    struct kvm_vcpu * vcpu; __u32 guest_debug
    "vcpu: %p, flags: 0x%08x", REC->vcpu, REC->guest_debug

    kvm:kvm_dirty_ring_exit
    int vcpu_id
    "vcpu %d", REC->vcpu_id

    kvm:kvm_dirty_ring_push
    int index; u32 dirty_index; u32 reset_index; u32 slot; u64 offset
    "ring %d: dirty 0x%x reset 0x%x slot %u offset 0x%llx (used %u)", REC->index, REC->dirty_index, REC->reset_index, REC->slot, REC->offset, REC->dirty_index - REC->reset_index

    kvm:kvm_dirty_ring_reset
    int index; u32 dirty_index; u32 reset_index
    "ring %d: dirty 0x%x reset 0x%x (used %u)", REC->index, REC->dirty_index, REC->reset_index, REC->dirty_index - REC->reset_index

    kvm:kvm_entry
    unsigned long vcpu_pc
    "PC: 0x%016lx", REC->vcpu_pc

    kvm:kvm_exit
    int ret; unsigned int esr_ec; unsigned long vcpu_pc
    "%s: HSR_EC: 0x%04x (%s), PC: 0x%016lx", __print_symbolic(REC->ret, {0, "IRQ" }, {1, "SERROR" }, {2, "TRAP" }, {0xbadca11, "HYP_GONE" }), REC->esr_ec, __print_symbolic(REC->esr_ec, { (((0x00UL))), "UNKNOWN" }, { (((0x01UL))), "WFx" }, { (((0x03UL))), "CP15_32" }, { (((0x04UL))), "CP15_64" }, { (((0x05UL))), "CP14_MR" }, { (((0x06UL))), "CP14_LS" }, { (((0x07UL))), "FP_ASIMD" }, { (((0x08UL))), "CP10_ID" }, { (((0x09UL))), "PAC" }, { (((0x0CUL))), "CP14_64" }, { (((0x15UL))), "SVC64" }, { (((0x16UL))), "HVC64" }, { (((0x17UL))), "SMC64" }, { (((0x18UL))), "SYS64" }, { (((0x19UL))), "SVE" }, { (((0x1fUL))), "IMP_DEF" }, { (((0x20UL))), "IABT_LOW" }, { (((0x21UL))), "IABT_CUR" }, { (((0x22UL))), "PC_ALIGN" }, { (((0x24UL))), "DABT_LOW" }, { (((0x25UL))), "DABT_CUR" }, { (((0x26UL))), "SP_ALIGN" }, { (((0x28UL))), "FP_EXC32" }, { (((0x2CUL))), "FP_EXC64" }, { (((0x2FUL))), "SERROR" }, { (((0x30UL))), "BREAKPT_LOW" }, { (((0x31UL))), "BREAKPT_CUR" }, { (((0x32UL))), "SOFTSTP_LOW" }, { (((0x33UL))), "SOFTSTP_CUR" }, { (((0x34UL))), "WATCHPT_LOW" }, { (((0x35UL))), "WATCHPT_CUR" }, { (((0x38UL))), "BKPT32" }, { (((0x3AUL))), "VECTOR32" }, { (((0x3CUL))), "BRK64" }, { (((0x1aUL))), "ERET" }), REC->vcpu_pc

    kvm:kvm_forward_sysreg_trap
    u64 pc; u32 sysreg; bool is_read
    "%llx %c (%d,%d,%d,%d,%d)", REC->pc, REC->is_read ? 'R' : 'W', (((REC->sysreg) >> 19) & 0x3), (((REC->sysreg) >> 16) & 0x7), (((REC->sysreg) >> 12) & 0xf), (((REC->sysreg) >> 8) & 0xf), (((REC->sysreg) >> 5) & 0x7)

    kvm:kvm_fpu
    u32 load
    "%s", __print_symbolic(REC->load, {0, "unload"}, {1, "load"})

    kvm:kvm_get_timer_map
    unsigned long vcpu_id; int direct_vtimer; int direct_ptimer; int emul_vtimer; int emul_ptimer
    "VCPU: %ld, dv: %d, dp: %d, ev: %d, ep: %d", REC->vcpu_id, REC->direct_vtimer, REC->direct_ptimer, REC->emul_vtimer, REC->emul_ptimer

    kvm:kvm_guest_fault
    unsigned long vcpu_pc; unsigned long hsr; unsigned long hxfar; unsigned long long ipa
    "ipa %#llx, hsr %#08lx, hxfar %#08lx, pc %#016lx", REC->ipa, REC->hsr, REC->hxfar, REC->vcpu_pc

    kvm:kvm_halt_poll_ns
    bool grow; unsigned int vcpu_id; unsigned int new; unsigned int old
    "vcpu %u: halt_poll_ns %u (%s %u)", REC->vcpu_id, REC->new, REC->grow ? "grow" : "shrink", REC->old

    kvm:kvm_handle_sys_reg
    unsigned long hsr
    "HSR 0x%08lx", REC->hsr

    kvm:kvm_hvc_arm64
    unsigned long vcpu_pc; unsigned long r0; unsigned long imm
    "HVC at 0x%016lx (r0: 0x%016lx, imm: 0x%lx)", REC->vcpu_pc, REC->r0, REC->imm

    kvm:kvm_inject_nested_exception
    struct kvm_vcpu * vcpu; unsigned long esr_el2; int type; unsigned long spsr_el2; unsigned long pc; unsigned long source_mode; unsigned long hcr_el2
    "%s: esr_el2 0x%lx elr_el2: 0x%lx spsr_el2: 0x%08lx (M: %s) hcr_el2: %lx", __print_symbolic(REC->type, { except_type_sync, "SYNC" }, { except_type_irq, "IRQ" }, { except_type_fiq, "FIQ" }, { except_type_serror, "SERROR" }), REC->esr_el2, REC->pc, REC->spsr_el2, __print_symbolic(REC->source_mode, { 0x00000000, "EL0t" }, { 0x00000004, "EL1t" }, { 0x00000005, "EL1h" }, { 0x00000008, "EL2t" }, { 0x00000009, "EL2h" }, { 0x0000000c, "EL3t" }, { 0x0000000d, "EL3h" }, { 0x00000010, "32-bit USR" }, { 0x00000011, "32-bit FIQ" }, { 0x00000012, "32-bit IRQ" }, { 0x00000013, "32-bit SVC" }, { 0x00000017, "32-bit ABT" }, { 0x0000001a, "32-bit HYP" }, { 0x0000001b, "32-bit UND" }, { 0x0000001f, "32-bit SYS" }), REC->hcr_el2

    kvm:kvm_irq_line
    unsigned int type; int vcpu_idx; int irq_num; int level
    "Inject %s interrupt (%d), vcpu->idx: %d, num: %d, level: %d", (REC->type == 0) ? "CPU" : (REC->type == 2) ? "VGIC PPI" : (REC->type == 1) ? "VGIC SPI" : "UNKNOWN", REC->type, REC->vcpu_idx, REC->irq_num, REC->level

    kvm:kvm_mmio
    u32 type; u32 len; u64 gpa; u64 val
    "mmio %s len %u gpa 0x%llx val 0x%llx", __print_symbolic(REC->type, { 0, "unsatisfied-read" }, { 1, "read" }, { 2, "write" }), REC->len, REC->gpa, REC->val

    kvm:kvm_mmio_emulate
    unsigned long vcpu_pc; unsigned long instr; unsigned long cpsr
    "Emulate MMIO at: 0x%016lx (instr: %08lx, cpsr: %08lx)", REC->vcpu_pc, REC->instr, REC->cpsr

    kvm:kvm_mmio_nisv
    unsigned long vcpu_pc; unsigned long esr; unsigned long far; unsigned long ipa
    "ipa %#016lx, esr %#016lx, far %#016lx, pc %#016lx", REC->ipa, REC->esr, REC->far, REC->vcpu_pc

    kvm:kvm_nested_eret
    struct kvm_vcpu * vcpu; unsigned long elr_el2; unsigned long spsr_el2; unsigned long target_mode; unsigned long hcr_el2
    "elr_el2: 0x%lx spsr_el2: 0x%08lx (M: %s) hcr_el2: %lx", REC->elr_el2, REC->spsr_el2, __print_symbolic(REC->target_mode, { 0x00000000, "EL0t" }, { 0x00000004, "EL1t" }, { 0x00000005, "EL1h" }, { 0x00000008, "EL2t" }, { 0x00000009, "EL2h" }, { 0x0000000c, "EL3t" }, { 0x0000000d, "EL3h" }, { 0x00000010, "32-bit USR" }, { 0x00000011, "32-bit FIQ" }, { 0x00000012, "32-bit IRQ" }, { 0x00000013, "32-bit SVC" }, { 0x00000017, "32-bit ABT" }, { 0x0000001a, "32-bit HYP" }, { 0x0000001b, "32-bit UND" }, { 0x0000001f, "32-bit SYS" }), REC->hcr_el2

    kvm:kvm_set_guest_debug
    struct kvm_vcpu * vcpu; __u32 guest_debug
    "vcpu: %p, flags: 0x%08x", REC->vcpu, REC->guest_debug

    kvm:kvm_set_irq
    unsigned int gsi; int level; int irq_source_id
    "gsi %u level %d source %d", REC->gsi, REC->level, REC->irq_source_id

    kvm:kvm_set_spte_hva
    unsigned long hva
    "mmu notifier set pte hva: %#016lx", REC->hva

    kvm:kvm_set_way_flush
    unsigned long vcpu_pc; bool cache
    "S/W flush at 0x%016lx (cache %s)", REC->vcpu_pc, str_on_off(REC->cache)

    kvm:kvm_sys_access
    unsigned long vcpu_pc; bool is_write; __data_loc char[] name; u8 Op0; u8 Op1; u8 CRn; u8 CRm; u8 Op2
    "PC: %lx %s (%d,%d,%d,%d,%d) %s", REC->vcpu_pc, __get_str(name) ?: "UNKN", REC->Op0, REC->Op1, REC->CRn, REC->CRm, REC->Op2, str_read_write(!(REC->is_write))

    kvm:kvm_test_age_hva
    unsigned long hva
    "mmu notifier test age hva: %#016lx", REC->hva

    kvm:kvm_timer_emulate
    int timer_idx; bool should_fire
    "arch_timer_ctx_index: %d (should_fire: %d)", REC->timer_idx, REC->should_fire

    kvm:kvm_timer_hrtimer_expire
    int timer_idx
    "arch_timer_ctx_index: %d", REC->timer_idx

    kvm:kvm_timer_restore_state
    unsigned long ctl; unsigned long long cval; int timer_idx
    "CTL: %#08lx CVAL: %#16llx arch_timer_ctx_index: %d", REC->ctl, REC->cval, REC->timer_idx

    kvm:kvm_timer_save_state
    unsigned long ctl; unsigned long long cval; int timer_idx
    "   CTL: %#08lx CVAL: %#16llx arch_timer_ctx_index: %d", REC->ctl, REC->cval, REC->timer_idx

    kvm:kvm_timer_update_irq
    unsigned long vcpu_id; __u32 irq; int level
    "VCPU: %ld, IRQ %d, level %d", REC->vcpu_id, REC->irq, REC->level

    kvm:kvm_toggle_cache
    unsigned long vcpu_pc; bool was; bool now
    "VM op at 0x%016lx (cache was %s, now %s)", REC->vcpu_pc, str_on_off(REC->was), str_on_off(REC->now)

    kvm:kvm_unmap_hva_range
    unsigned long start; unsigned long end
    "mmu notifier unmap range: %#016lx -- %#016lx", REC->start, REC->end

    kvm:kvm_userspace_exit
    __u32 reason; int errno
    "reason %s (%d)", REC->errno < 0 ? (REC->errno == -4 ? "restart" : "error") : \#(exitReasons), REC->errno < 0 ? -REC->errno : REC->reason

    kvm:kvm_vcpu_wakeup
    __u64 ns; bool waited; bool valid
    "%s time %lld ns, polling %s", REC->waited ? "wait" : "poll", REC->ns, REC->valid ? "valid" : "invalid"

    kvm:kvm_wfx_arm64
    unsigned long vcpu_pc; bool is_wfe
    "guest executed wf%c at: 0x%016lx", REC->is_wfe ? 'e' : 'i', REC->vcpu_pc

    kvm:trap_reg
    __data_loc char[] fn; int reg; bool is_write; u64 write_value
    "%s %s reg %d (0x%016llx)", __get_str(fn),  REC->is_write?"write to":"read from", REC->reg, REC->write_value

    kvm:vgic_update_irq_pending
    unsigned long vcpu_id; __u32 irq; bool level
    "VCPU: %ld, IRQ %d, level: %d", REC->vcpu_id, REC->irq, REC->level

    lock:contention_begin
    void * lock_addr; unsigned int flags
    "%p (flags=%s)", REC->lock_addr, __print_flags(REC->flags, "|", { (1U << 0), "SPIN" }, { (1U << 1), "READ" }, { (1U << 2), "WRITE" }, { (1U << 3), "RT" }, { (1U << 4), "PERCPU" }, { (1U << 5), "MUTEX" } )

    lock:contention_end
    void * lock_addr; int ret
    "%p (ret=%d)", REC->lock_addr, REC->ret

    ftrace:print
    unsigned long ip; char[] buf
    "%ps: %s", (void *)REC->ip, REC->buf
    """#
}
