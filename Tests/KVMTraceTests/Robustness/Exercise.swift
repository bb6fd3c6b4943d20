import Foundation
import KVMTrace
import KVMTypes

/// Uses everything that the ingester offers on one file.
struct Exercise {
  var events: UInt64 = 0
  var damage: [Damage] = []
  var lossCount = 0

  init(path: String) throws(IngestError) {
    let trace = try TraceFile(path: path)
    var reader = trace.events(.all)
    var bytes = 0
    while let run = reader.nextRun() {
      for position in 0..<run.count {
        let record = run[position]
        let payload = run.payload(position)
        guard let format = trace.formats.format(id: record.formatID) else { continue }
        for field in format.fields {
          bytes += trace.formats.value(of: field, in: payload).description.utf8.count
        }
        bytes += trace.formats.text(of: payload, time: record.time.rawValue, cpu: 0).utf8.count
        _ = trace.command(of: record.tid)
      }
    }
    let statistics = reader.statistics
    events = statistics.total
    lossCount = statistics.lossCount
    damage = trace.damage + statistics.damage
    for place in damage where place.offset < 0 { fatalError("damage at \(place.offset)") }
  }
}
