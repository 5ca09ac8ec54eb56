namespace Lamina.Personalities.Scsi;

/// <summary>How a command ended (SAM-5, section 5.3.1).</summary>
internal enum ScsiStatus : byte
{
    Good = 0x00,
    CheckCondition = 0x02,
}
