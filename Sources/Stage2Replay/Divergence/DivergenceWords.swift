internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What divergences say in words.
enum DivergenceWords {
  /// What the model makes of a rule.
  static func expectation(_ rule: DivergenceRule, _ walk: Stage2Walk?) -> String {
    guard let walk else { return rule.statement }
    return "\(rule.statement); the model has \(describe(walk))"
  }

  /// "a level 3 page rw-, young", or where the walk stops.
  static func describe(_ walk: Stage2Walk) -> String {
    switch walk {
    case .invalid(let level): "nothing there, the walk stops at level \(level.rawValue)"
    case .leaf(let level, let prot, let young):
      "a level \(level.rawValue) \(level == .l3 ? "page" : "block") \(rights(prot)), \(young ? "young" : "old")"
    }
  }

  static func rights(_ prot: Stage2Prot) -> String {
    (prot.contains(.read) ? "r" : "-") + (prot.contains(.write) ? "w" : "-")
      + (prot.isSuperset(of: .execute) ? "x" : "-")
  }

  static func fault(_ fault: FaultWindow) -> String {
    let kind: String =
      switch fault.kind {
      case .translation: "translation fault"
      case .permission: "permission fault"
      case .accessFlag: "access flag fault"
      default: "fault"
      }
    let access =
      fault.isStage1Walk ? "stage-1 walk" : fault.isExec ? "fetch" : fault.isWrite ? "write" : "read"
    return
      "\(kind) at level \(fault.level.rawValue) by a \(access)\(fault.sawMMIO ? ", then kvm_mmio" : ""), "
      + "esr 0x\(String(fault.event.esr.rawValue, radix: 16))"
  }

  /// An event of a thread's stream.
  static func event(_ record: TraceRecord) -> String {
    func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
    switch record.kind {
    case .entry: return "kvm_entry"
    case .exit:
      let exit = record.vcpuExit
      return "kvm_exit, reason \(exit.reason), EC \(hex(UInt64(exit.exceptionClass)))"
    case .guestFault:
      let fault = record.guestFault
      return "kvm_guest_fault, ipa \(hex(fault.ipa.rawValue)), esr \(hex(fault.esr.rawValue))"
    case .accessFault: return "kvm_access_fault, ipa \(hex(record.accessFaultIPA.rawValue))"
    case .mmio: return "kvm_mmio, type \(record.mmio.type), gpa \(hex(record.mmio.address.rawValue))"
    case .mmioNISV: return "kvm_mmio_nisv, ipa \(hex(record.mmioNISV.ipa.rawValue))"
    case .userspaceExit:
      // 0 may stand for one that is not recorded.
      let exit = record.userspaceExit
      return "kvm_userspace_exit, reason \(exit.reason)" + (exit.errno == 0 ? "" : ", errno \(exit.errno)")
    case .unmapHVARange:
      return
        "kvm_unmap_hva_range, \(hex(record.hvaRange.start.rawValue)) to \(hex(record.hvaRange.end.rawValue))"
    default: return "\(record.kind)"
    }
  }
}
