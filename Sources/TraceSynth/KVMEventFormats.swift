/// The events of a 7.3 arm64 kernel that a recording of stage-2 activity carries: the kvm trace points,
/// the contended locks, and the function probes under `truth` and `slots`.
///
/// The numbers are those of one boot of one kernel. Kernels assign them at boot, so a reader must take
/// them from the file.
public enum KVMEventFormats {
  private typealias Field = EventField

  /// The guest is entered.
  public static let entry = EventFormat(
    system: "kvm", name: "kvm_entry", id: 65, fields: [Field(.unsignedLong, "vcpu_pc")],
    printFormat: #""PC: 0x%016lx", REC->vcpu_pc"#)

  /// The guest is left.
  public static let exit = EventFormat(
    system: "kvm", name: "kvm_exit", id: 64,
    fields: [Field(.int, "ret"), Field(.unsignedInt, "esr_ec"), Field(.unsignedLong, "vcpu_pc")],
    printFormat: #""%s: HSR_EC: 0x%04x (%s), PC: 0x%016lx", "#
      + #"__print_symbolic(REC->ret, {0, "IRQ" }, {1, "SERROR" }, {2, "TRAP" }, {0xbadca11, "HYP_GONE" }), "#
      + "REC->esr_ec, __print_symbolic(REC->esr_ec, \(exceptionClassSymbols)), REC->vcpu_pc")

  /// A stage-2 abort reaches KVM.
  public static let guestFault = EventFormat(
    system: "kvm", name: "kvm_guest_fault", id: 63,
    fields: [
      Field(.unsignedLong, "vcpu_pc"), Field(.unsignedLong, "hsr"), Field(.unsignedLong, "hxfar"),
      Field(.unsignedLongLong, "ipa"),
    ],
    printFormat: #""ipa %#llx, hsr %#08lx, hxfar %#08lx, pc %#016lx", "#
      + "REC->ipa, REC->hsr, REC->hxfar, REC->vcpu_pc")

  /// An access flag fault is handled.
  public static let accessFault = EventFormat(
    system: "kvm", name: "kvm_access_fault", id: 62, fields: [Field(.unsignedLong, "ipa")],
    printFormat: #""IPA: %lx", REC->ipa"#)

  /// The guest touched emulated device memory.
  public static let mmio = EventFormat(
    system: "kvm", name: "kvm_mmio", id: 43,
    fields: [Field(.u32, "type"), Field(.u32, "len"), Field(.u64, "gpa"), Field(.u64, "val")],
    printFormat: #""mmio %s len %u gpa 0x%llx val 0x%llx", "#
      + #"__print_symbolic(REC->type, { 0, "unsatisfied-read" }, { 1, "read" }, { 2, "write" }), "#
      + "REC->len, REC->gpa, REC->val")

  /// The vCPU thread returns to its VMM.
  public static let userspaceExit = EventFormat(
    system: "kvm", name: "kvm_userspace_exit", id: 47,
    fields: [Field(.kernelU32, "reason"), Field(.int, "errno")],
    printFormat: #""reason %s (%d)", REC->errno < 0 ? (REC->errno == -4 ? "restart" : "error") : "#
      + "__print_symbolic(REC->reason, \(exitReasonSymbols)), REC->errno < 0 ? -REC->errno : REC->reason")

  /// The host takes a range of its address space away.
  public static let unmapHVARange = hvaRange("kvm_unmap_hva_range", 37, "unmap range")
  /// The host clears the access flags of a range.
  public static let ageHVA = hvaRange("kvm_age_hva", 36, "age hva")

  /// The host reads an access flag.
  public static let testAgeHVA = EventFormat(
    system: "kvm", name: "kvm_test_age_hva", id: 35, fields: [Field(.unsignedLong, "hva")],
    printFormat: #""mmu notifier test age hva: %#016lx", REC->hva"#)

  /// A lock is waited for.
  public static let contentionBegin = EventFormat(
    system: "lock", name: "contention_begin", id: 294,
    fields: [Field(.pointer, "lock_addr"), Field(.unsignedInt, "flags")],
    printFormat: #""%p (flags=%s)", REC->lock_addr, __print_flags(REC->flags, "|", "#
      + #"{ (1U << 0), "SPIN" }, { (1U << 1), "READ" }, { (1U << 2), "WRITE" }, { (1U << 3), "RT" }, "#
      + #"{ (1U << 4), "PERCPU" }, { (1U << 5), "MUTEX" } )"#)

  /// The wait for a lock is over.
  public static let contentionEnd = EventFormat(
    system: "lock", name: "contention_end", id: 293,
    fields: [Field(.pointer, "lock_addr"), Field(.int, "ret")],
    printFormat: #""%p (ret=%d)", REC->lock_addr, REC->ret"#)

  /// `kvm_arch_commit_memory_region`: a memslot was created, deleted, moved or changed its flags.
  public static let slotCommit = EventFormat(
    system: "slots", name: "commit", id: 1595,
    fields: [
      Field(.unsignedLong, "__probe_ip"), Field(.u64, "kvm"), Field(.s32, "change"), Field(.u64, "gfn"),
      Field(.u64, "npages"), Field(.u64, "hva"), Field(.s16, "id"), Field(.u32, "flags"),
      Field(.u64, "ogfn"), Field(.u64, "onpages"),
    ],
    printFormat: #""(%lx) kvm=0x%Lx change=%d gfn=%Lu npages=%Lu hva=%Lu id=%d flags=%u ogfn=%Lu "#
      + #"onpages=%Lu", REC->__probe_ip, REC->kvm, REC->change, REC->gfn, REC->npages, REC->hva, "#
      + "REC->id, REC->flags, REC->ogfn, REC->onpages",
    isPacked: true)

  /// `kvm_set_memory_region`: a VMM asks for a change of a memslot.
  public static let slotRequest = EventFormat(
    system: "slots", name: "slot", id: 1596,
    fields: [
      Field(.unsignedLong, "__probe_ip"), Field(.u64, "kvm"), Field(.u32, "slot"), Field(.u32, "flags"),
      Field(.u64, "gpa"), Field(.u64, "size"), Field(.u64, "hva"), Field(.u32, "gmem"),
    ],
    printFormat:
      #""(%lx) kvm=0x%Lx slot=%u flags=%u gpa=0x%Lx size=0x%Lx hva=0x%Lx gmem=%u", REC->__probe_ip, "#
      + "REC->kvm, REC->slot, REC->flags, REC->gpa, REC->size, REC->hva, REC->gmem",
    isPacked: true)

  /// Its return.
  public static let slotRequestReturn = EventFormat(
    system: "slots", name: "slot_ret", id: 1597,
    fields: [
      Field(.unsignedLong, "__probe_func"), Field(.unsignedLong, "__probe_ret_ip"), Field(.s32, "ret"),
    ],
    printFormat: #""(%lx <- %lx) ret=%d", REC->__probe_func, REC->__probe_ret_ip, REC->ret"#,
    isPacked: true)

  /// `kvm_arch_init_vm`: a VM is created.
  public static let vmInit = EventFormat(
    system: "vm", name: "init", id: 1598,
    fields: [Field(.unsignedLong, "__probe_ip"), Field(.u64, "kvm"), Field(.u64, "type")],
    printFormat: #""(%lx) kvm=0x%Lx type=%Lu", REC->__probe_ip, REC->kvm, REC->type"#, isPacked: true)

  /// `kvm_arch_destroy_vm`: a VM is gone.
  public static let vmDestroy = EventFormat(
    system: "vm", name: "destroy", id: 1599,
    fields: [Field(.unsignedLong, "__probe_ip"), Field(.u64, "kvm")],
    printFormat: #""(%lx) kvm=0x%Lx", REC->__probe_ip, REC->kvm"#, isPacked: true)

  /// The kvm trace points.
  public static let kvm = [
    guestFault, accessFault, ageHVA, testAgeHVA, unmapHVARange, userspaceExit, mmio, entry, exit,
  ]

  /// The lock trace points.
  public static let lock = [contentionBegin, contentionEnd]

  /// Everything above and the probes of `StageTwoProbeFormats`.
  public static let all = kvm + StageTwoProbeFormats.all + [slotCommit] + lock

  private static func hvaRange(_ name: String, _ id: UInt16, _ what: String) -> EventFormat {
    EventFormat(
      system: "kvm", name: name, id: id,
      fields: [Field(.unsignedLong, "start"), Field(.unsignedLong, "end")],
      printFormat: "\"mmu notifier \(what): %#016lx -- %#016lx\", REC->start, REC->end")
  }

  /// `kvm_arm_exception_class`, in the kernel's order.
  private static let exceptionClassSymbols = [
    ("0x00", "UNKNOWN"), ("0x01", "WFx"), ("0x03", "CP15_32"), ("0x04", "CP15_64"), ("0x05", "CP14_MR"),
    ("0x06", "CP14_LS"), ("0x07", "FP_ASIMD"), ("0x08", "CP10_ID"), ("0x09", "PAC"), ("0x0C", "CP14_64"),
    ("0x15", "SVC64"), ("0x16", "HVC64"), ("0x17", "SMC64"), ("0x18", "SYS64"), ("0x19", "SVE"),
    ("0x1f", "IMP_DEF"), ("0x20", "IABT_LOW"), ("0x21", "IABT_CUR"), ("0x22", "PC_ALIGN"),
    ("0x24", "DABT_LOW"), ("0x25", "DABT_CUR"), ("0x26", "SP_ALIGN"), ("0x28", "FP_EXC32"),
    ("0x2C", "FP_EXC64"), ("0x2F", "SERROR"), ("0x30", "BREAKPT_LOW"), ("0x31", "BREAKPT_CUR"),
    ("0x32", "SOFTSTP_LOW"), ("0x33", "SOFTSTP_CUR"), ("0x34", "WATCHPT_LOW"), ("0x35", "WATCHPT_CUR"),
    ("0x38", "BKPT32"), ("0x3A", "VECTOR32"), ("0x3C", "BRK64"), ("0x1a", "ERET"),
  ].map { "{ (((\($0.0)UL))), \"\($0.1)\" }" }.joined(separator: ", ")

  /// `KVM_EXIT_` reasons, the number being the place.
  private static let exitReasonSymbols = [
    "UNKNOWN", "EXCEPTION", "IO", "HYPERCALL", "DEBUG", "HLT", "MMIO", "IRQ_WINDOW_OPEN", "SHUTDOWN",
    "FAIL_ENTRY", "INTR", "SET_TPR", "TPR_ACCESS", "S390_SIEIC", "S390_RESET", "DCR", "NMI",
    "INTERNAL_ERROR", "OSI", "PAPR_HCALL", "S390_UCONTROL", "WATCHDOG", "S390_TSCH", "EPR",
    "SYSTEM_EVENT", "S390_STSI", "IOAPIC_EOI", "HYPERV", "ARM_NISV", "X86_RDMSR", "X86_WRMSR",
  ].enumerated().map { "{ \($0.offset), \"KVM_EXIT_\" \"\($0.element)\" }" }.joined(separator: ", ")
}
