import Stage2Model
import TraceSynth

/// The events of a guest that has guests.
enum NestingFormats {
  private typealias Field = EventField

  /// A guest hypervisor returns from its EL2.
  static let eret = EventFormat(
    system: "kvm", name: "kvm_nested_eret", id: 71,
    fields: [Field(.unsignedLong, "target_mode"), Field(.unsignedLong, "hcr_el2")],
    printFormat: #""M: %lx", REC->target_mode"#)

  /// A guest hypervisor gets an exception.
  static let exception = EventFormat(
    system: "kvm", name: "kvm_inject_nested_exception", id: 72,
    fields: [Field(.unsignedLong, "source_mode"), Field(.unsignedLong, "hcr_el2")],
    printFormat: #""M: %lx", REC->source_mode"#)
}

extension Scenario {
  /// What of a guest hypervisor runs: the bits of the mode, and HCR_EL2.
  enum Regime {
    /// EL2h.
    case hypervisor
    /// EL0t with HCR_EL2.TGE: user space of a VHE host.
    case hostUser
    /// EL1h of a guest with a stage 2 of its own.
    case guest

    fileprivate var values: [UInt64] {
      switch self {
      case .hypervisor: [9, 1 << 34]
      case .hostUser: [0, 1 << 34 | 1 << 27]
      case .guest: [5, 1 << 31 | 1]
      }
    }
  }

  /// A story of a guest that has guests.
  static func nested(recordsNesting: Bool = true) -> Scenario {
    let story = Scenario(
      formats: KVMEventFormats.all + (recordsNesting ? [NestingFormats.eret, NestingFormats.exception] : []))
    story.profile.path = .traditional
    return story
  }

  /// kvm_exit by an ERET, kvm_nested_eret, kvm_entry.
  func eret(_ thread: Thread, to regime: Regime = .guest, isRecorded: Bool = true, pc: UInt64 = 0x80_0000) {
    exit(thread, exceptionClass: 0x1a)
    if isRecorded { emit(NestingFormats.eret, thread, regime.values) }
    enter(thread, pc: pc)
  }

  /// kvm_inject_nested_exception and the entry at the guest hypervisor's vector.
  func exception(_ thread: Thread, from regime: Regime = .guest, isRecorded: Bool = true) {
    if isRecorded { emit(NestingFormats.exception, thread, regime.values) }
    enter(thread, pc: 0x9400)
  }

  /// A nested guest's fault on an address of its own, and the next entry where it was.
  func handleNested(_ thread: Thread, _ ipa: UInt64, level: Int = 0, pc: UInt64 = 0x80_0000) {
    fault(thread, ipa, level: level, pc: pc)
    enter(thread, pc: pc)
  }
}
