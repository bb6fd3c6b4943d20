internal import CStage2Backend
package import KVMTypes
package import Stage2Model

/// What a foreign backend is told of a VM that it makes: kernel, machine and guest, as far as they shape the table.
package struct ForeignShape: Hashable, Sendable {
  /// EL2 owns the table.
  package var isPKVM: Bool
  /// A protected guest.
  package var isProtected: Bool
  /// The granule.
  package var pageSize: PageSize
  /// Bits of an IPA.
  package var ipaBits: Int
  /// `S2_FEATURE_*`.
  package var features: UInt64

  /// How many vCPUs a VM has at most. Of a VM with more, those whose numbers are this far apart share what a vCPU has.
  package static let vcpus = 64

  package init(isPKVM: Bool, isProtected: Bool, pageSize: PageSize, ipaBits: Int, features: UInt64) {
    self.isPKVM = isPKVM
    self.isProtected = isProtected
    self.pageSize = pageSize
    self.ipaBits = ipaBits
    self.features = features
  }

  /// A VM of `profile`.
  package init(_ profile: Profile, isProtected: Bool) {
    var features: UInt64 = 0
    if profile.hasFWB { features |= ForeignShape.fwb }
    if profile.hasTLBIRange { features |= ForeignShape.tlbRange }
    if profile.hasXNX { features |= ForeignShape.xnx }
    if profile.hasDIC { features |= ForeignShape.dic }
    self.init(
      isPKVM: profile.isPKVM, isProtected: isProtected, pageSize: profile.pageSize, ipaBits: profile.ipaBits,
      features: features)
    if ipaBits > 48, pageSize != .size64K { self.features |= ForeignShape.lpa2 }
  }

  /// FEAT_S2FWB.
  package static let fwb = UInt64(S2_FEATURE_FWB)
  /// FEAT_TLBIRANGE.
  package static let tlbRange = UInt64(S2_FEATURE_TLB_RANGE)
  /// FEAT_XNX.
  package static let xnx = UInt64(S2_FEATURE_XNX)
  /// CTR_EL0.DIC.
  package static let dic = UInt64(S2_FEATURE_DIC)
  /// FEAT_LPA2.
  package static let lpa2 = UInt64(S2_FEATURE_LPA2)

  /// Physical addresses of the machine. Under pKVM they are what a guest has, too (`kvm_init_ipa_range`).
  var paBits: Int { isPKVM ? ipaBits : ipaBits > 48 ? 52 : 48 }

  /// Where a walk begins.
  var startLevel: TranslationLevel {
    (try? Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits))?.startLevel ?? .l1
  }

  /// Rights that a walk tells: those that the model tells of the same path.
  var walkedProt: Stage2Prot {
    isPKVM ? .rwx : .rwx.union([.software0, .software1, .software2, .software3])
  }

  /// What sets the made-up frames of a VM apart from those of others. After 256 VMs it is used once more.
  package func frameOffset(ofVM vm: Int) -> UInt64 { UInt64(vm % 256) << (39 - pageSize.shift) }

  /// The frame that is made up for what lies behind a guest's frame: in the upper half of 48 bits of address, and congruent to it, so that
  /// blocks are aligned.
  @inline(__always)
  package func frame(of gfn: GFN, offset: UInt64) -> UInt64 {
    let half = UInt64(1) << (47 - pageSize.shift)
    return half | (gfn.rawValue &+ offset) & (half - 1)
  }
}
