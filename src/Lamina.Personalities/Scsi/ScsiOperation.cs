namespace Lamina.Personalities.Scsi;

/// <summary>Operation codes (SPC-4, SBC-3).</summary>
internal enum ScsiOperation : byte
{
    TestUnitReady = 0x00,
    RequestSense = 0x03,
    Read6 = 0x08,
    Write6 = 0x0a,
    Inquiry = 0x12,
    ModeSense6 = 0x1a,
    StartStopUnit = 0x1b,
    PreventAllowMediumRemoval = 0x1e,
    ReadCapacity10 = 0x25,
    Read10 = 0x28,
    Write10 = 0x2a,
    Verify10 = 0x2f,
    SynchronizeCache10 = 0x35,
    WriteSame10 = 0x41,
    Unmap = 0x42,
    ModeSense10 = 0x5a,
    Read16 = 0x88,
    Write16 = 0x8a,
    Verify16 = 0x8f,
    SynchronizeCache16 = 0x91,
    WriteSame16 = 0x93,
    ServiceActionIn16 = 0x9e,
    ReportLuns = 0xa0,
    Read12 = 0xa8,
    Write12 = 0xaa,
}
