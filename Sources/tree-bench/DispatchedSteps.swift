import KVMTypes
import Stage2Model

// The same function four times: what is compared is how each is compiled.

/// Written for each backend by itself.
enum Direct {
  static func apply(_ step: Step, _ backend: inout TraditionalStage2) -> Bool {
    switch step.operation {
    case .map:
      backend.topUpMemcache(vcpu: VCPUIndex(0), pages: 4)
      return backend.map(step.ipa, size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0)).isSuccess
    case .unmap: return backend.unmap(step.ipa, size: 4096).isSuccess
    case .wrprotect: return backend.wrprotect(step.ipa, size: 4096).isSuccess
    case .relaxPerms: return backend.relaxPerms(step.ipa, prot: .rwx).isSuccess
    case .mkyoung:
      backend.mkyoung(step.ipa)
      return true
    case .testClearYoung: return backend.testClearYoung(step.ipa, size: 4096, markOld: true)
    case .walk: return backend.walk(step.ipa) == .invalid(level: .l3)
    }
  }

  static func apply(_ step: Step, _ backend: inout PKVMStage2) -> Bool {
    switch step.operation {
    case .map:
      backend.topUpMemcache(vcpu: VCPUIndex(0), pages: 4)
      return backend.map(step.ipa, size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0)).isSuccess
    case .unmap: return backend.unmap(step.ipa, size: 4096).isSuccess
    case .wrprotect: return backend.wrprotect(step.ipa, size: 4096).isSuccess
    case .relaxPerms: return backend.relaxPerms(step.ipa, prot: .rwx).isSuccess
    case .mkyoung:
      backend.mkyoung(step.ipa)
      return true
    case .testClearYoung: return backend.testClearYoung(step.ipa, size: 4096, markOld: true)
    case .walk: return backend.walk(step.ipa) == .invalid(level: .l3)
    }
  }
}

/// Written once, for any backend.
enum Generic {
  static func apply<Backend: Stage2Backend & ~Copyable>(_ step: Step, _ backend: inout Backend) -> Bool {
    switch step.operation {
    case .map:
      backend.topUpMemcache(vcpu: VCPUIndex(0), pages: 4)
      return backend.map(step.ipa, size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0)).isSuccess
    case .unmap: return backend.unmap(step.ipa, size: 4096).isSuccess
    case .wrprotect: return backend.wrprotect(step.ipa, size: 4096).isSuccess
    case .relaxPerms: return backend.relaxPerms(step.ipa, prot: .rwx).isSuccess
    case .mkyoung:
      backend.mkyoung(step.ipa)
      return true
    case .testClearYoung: return backend.testClearYoung(step.ipa, size: 4096, markOld: true)
    case .walk: return backend.walk(step.ipa) == .invalid(level: .l3)
    }
  }
}

/// As `Generic`, through the witness table at run time.
enum Unspecialised {
  @inline(never)
  @_semantics("optimize.sil.specialize.generic.never")
  static func apply<Backend: Stage2Backend & ~Copyable>(_ step: Step, _ backend: inout Backend) -> Bool {
    switch step.operation {
    case .map:
      backend.topUpMemcache(vcpu: VCPUIndex(0), pages: 4)
      return backend.map(step.ipa, size: 4096, pfn: nil, prot: .rwx, vcpu: VCPUIndex(0)).isSuccess
    case .unmap: return backend.unmap(step.ipa, size: 4096).isSuccess
    case .wrprotect: return backend.wrprotect(step.ipa, size: 4096).isSuccess
    case .relaxPerms: return backend.relaxPerms(step.ipa, prot: .rwx).isSuccess
    case .mkyoung:
      backend.mkyoung(step.ipa)
      return true
    case .testClearYoung: return backend.testClearYoung(step.ipa, size: 4096, markOld: true)
    case .walk: return backend.walk(step.ipa) == .invalid(level: .l3)
    }
  }
}
