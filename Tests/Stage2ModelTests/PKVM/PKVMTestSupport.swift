import KVMTypes

@testable import Stage2Model

/// A geometry that is known to exist.
func geometry(_ pageSize: PageSize = .size4K, ipaBits: Int = 44) -> Stage2Geometry {
  try! Stage2Geometry(pageSize: pageSize, ipaBits: ipaBits)
}

/// A VM of `era` and one machine for it alone.
func makeVM(
  _ era: PKVMEra = .v7_3, pageSize: PageSize = .size4K, ipaBits: Int = 44, protected: Bool = false,
  tree: Bool = true, _ change: (inout PKVMConfiguration) -> Void = { _ in }
) -> PKVMStage2 {
  var configuration = PKVMConfiguration(
    geometry: geometry(pageSize, ipaBits: ipaBits), era: era, isProtected: protected)
  configuration.keepsMappingTree = tree
  change(&configuration)
  return PKVMStage2(configuration)
}

let page4K: UInt64 = 4096
let block2M: UInt64 = 2 << 20
let vcpu0 = VCPUIndex(0)

extension PKVMStage2 {
  /// A fault: top-up and map, as `user_mem_abort` does.
  mutating func fault(
    _ ipa: UInt64, size: UInt64 = page4K, pfn: UInt64? = nil, prot: Stage2Prot = .rw, vcpu: VCPUIndex = vcpu0
  ) -> KernelResult {
    topUpMemcache(vcpu: vcpu, pages: minPages)
    return map(IPA(ipa), size: size, pfn: pfn.map { PFN($0) }, prot: prot, vcpu: vcpu)
  }

  mutating func unmap(_ ipa: UInt64, _ size: UInt64) -> KernelResult { unmap(IPA(ipa), size: size) }

  mutating func walk(_ ipa: UInt64) -> Stage2Walk { walk(IPA(ipa)) }

  /// What the tree holds.
  func allMappings() -> [Mapping] {
    var all: [Mapping] = []
    mappings.forEach { all.append($0) }
    return all
  }
}
