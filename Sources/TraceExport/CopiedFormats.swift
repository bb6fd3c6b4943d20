internal import KVMTrace
internal import TraceSynth

/// The format files that a copy of a recording carries: those of the recording, and one for the markers that the copy itself writes.
struct CopiedFormats {
  /// By system, as the writer wants them.
  let ofEvents: [TraceSynth.EventFormat]
  /// Those of ftrace's own events.
  let ofFtrace: [String]
  /// The number of `ftrace:print`.
  private let markerID: UInt16

  init(_ trace: TraceFile, kinds: Set<UInt16>?) {
    let known = trace.formats.formats
    let print = known.first { $0.system == "ftrace" && $0.name == "print" }
    let used = Set(known.map(\.id))
    // The kernel's number of it (TRACE_PRINT). Where that stands for something else, one that no kernel gives: those of events whose
    // formats cannot be read follow the ones that are known.
    let kernels: UInt16 = 5
    let free = used.contains(kernels) ? (kernels...UInt16.max).last { !used.contains($0) } : nil
    markerID = print?.id ?? free ?? kernels
    var events: [TraceSynth.EventFormat] = []
    var ftrace: [String] = []
    for (system, id, text) in trace.formatTexts {
      if let kinds, let id, !kinds.contains(id), id != markerID { continue }
      if system == "ftrace" {
        ftrace.append(text)
      } else {
        events.append(
          TraceSynth.EventFormat(
            system: system, name: "", id: id ?? 0, fields: [], printFormat: "", textOverride: text))
      }
    }
    if print == nil { ftrace.append(MarkerFormat.text(id: markerID)) }
    (ofEvents, ofFtrace) = (events, ftrace)
  }

  /// The data of what a thread prints.
  func marker(_ text: String, tid: Int32) -> [UInt8] {
    var data = [UInt8](repeating: 0, count: 16)
    data.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: markerID, as: UInt16.self)
      bytes.storeBytes(of: tid, toByteOffset: 4, as: Int32.self)
    }
    return data + Array(text.utf8) + [10, 0]
  }
}
