import Stage2Replay
import TraceSynth

/// The probes on a VM's life and the markers at quiet points, for stories whose recorder counted the host's memory.
extension Scenario {
  /// The formats of such a recording.
  static let markedFormats =
    KVMEventFormats.all + [KVMEventFormats.vmInit, KVMEventFormats.vmDestroy, MarkerFormat.print]

  /// `kvm_arch_init_vm`.
  func createVM(_ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000, type: UInt64 = 0) {
    emit(KVMEventFormats.vmInit, thread, [0, kvm, type])
  }

  /// `kvm_arch_destroy_vm`.
  func destroyVM(_ thread: Thread = .vmm, kvm: UInt64 = 0xffff_0000) {
    emit(KVMEventFormats.vmDestroy, thread, [0, kvm])
  }

  /// The host's figures at a quiet point. It had 100 kB of page tables and 7 mapping objects before the story.
  func mark(_ point: String, kilobytes: Int = 0, mappings: Int? = nil, _ more: String = "") {
    let objects = mappings.map { " mappings=\($0 + 7)" } ?? ""
    print("pkvm-replay:memory point=\(point) sec_page_tables_kb=\(100 + kilobytes)\(objects) \(more)")
  }
}

extension Replayed {
  /// The figures of the markers but the first, each as one line: point, figure, what was recorded and modelled, verdict.
  var figures: [String] {
    result.markers.filter { !$0.isFirst }.flatMap { marker in
      marker.figures.map { figure in
        let modelled = figure.modelled.map { String($0) } ?? "unknown"
        return "\(marker.point) \(figure.kind.name) \(figure.recorded) \(modelled) \(figure.verdict.name)"
          + (figure.doubt.map { ": \($0)" } ?? "")
      }
    }
  }
}
