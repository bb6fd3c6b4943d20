import TraceSynth

/// The probe on `kvm_set_memory_region`, for stories whose hosts have no other one on memslots.
extension Scenario {
  /// The formats of such a host; with the probe on the return, too, if `withReturns`.
  static func requestFormats(withReturns: Bool) -> [EventFormat] {
    KVMEventFormats.kvm + [KVMEventFormats.slotRequest] + KVMEventFormats.lock
      + (withReturns ? [KVMEventFormats.slotRequestReturn] : [])
  }

  /// The VMM asks for a slot; 0 pages delete it.
  func requestSlot(
    _ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, id: UInt64 = 0, ipa: UInt64? = nil,
    pages: UInt64 = 1024, hva: UInt64? = nil, flags: UInt64 = 0
  ) {
    emit(
      KVMEventFormats.slotRequest, thread,
      [0, kvm, id, flags, ipa ?? memory, pages * page, hva ?? crookedHVA, 0])
  }

  /// What `kvm_set_memory_region` returns.
  func answerRequest(_ result: Int64, _ thread: Thread = .vmm) {
    emit(KVMEventFormats.slotRequestReturn, thread, [0, 0, UInt64(bitPattern: result)])
  }
}
