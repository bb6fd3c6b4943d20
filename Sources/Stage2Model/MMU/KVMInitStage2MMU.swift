import KVMTypes

extension KVM where Backend == TraditionalStage2 {
  /// `kvm_init_stage2_mmu` on a host without pKVM.
  ///
  /// - Throws: where the profile's IPA size is impossible; the kernel returns -EINVAL.
  public static func traditional(_ profile: Profile) throws(Stage2Geometry.Failure) -> KVM<TraditionalStage2>
  {
    let geometry = try profile.geometry()
    return KVM(
      profile: profile, geometry: geometry,
      stage2: TraditionalStage2(geometry: geometry, features: profile.features))
  }
}

extension Profile {
  /// How the memory of a VM is accounted for; nothing is allocated yet.
  public var accounting: MemoryAccounting {
    let underPKVM = era.accountsMemcache ? SecPageTablesRule.tablesAndMemcaches : .nothing
    return MemoryAccounting(
      pageSize: pageSize, bytesPerMapping: bytesPerNode, secPageTables: isPKVM ? underPKVM : .tables)
  }

  /// The configuration of the pKVM backend.
  ///
  /// - Throws: where the profile's IPA size is impossible.
  public func pkvmConfiguration() throws(Stage2Geometry.Failure) -> PKVMConfiguration {
    var configuration = PKVMConfiguration(geometry: try geometry(), era: era, isProtected: isProtected)
    configuration.features = features
    configuration.bytesPerMapping = bytesPerNode
    configuration.hypercallBatch = hypercallBatch
    return configuration
  }
}

extension KVM where Backend == PKVMStage2 {
  /// `kvm_init_stage2_mmu` on a pKVM host: no PGD yet, it is donated at the first run.
  ///
  /// - Parameter vmemmap: the machine's pages, which its VMs share.
  /// - Throws: where the profile's IPA size is impossible.
  public static func pkvm(
    _ profile: Profile, vmemmap: HypVMemmap = HypVMemmap()
  ) throws(Stage2Geometry.Failure) -> KVM<PKVMStage2> {
    let configuration = try profile.pkvmConfiguration()
    return KVM(
      profile: profile, geometry: configuration.geometry,
      stage2: PKVMStage2(configuration, vmemmap: vmemmap))
  }
}
