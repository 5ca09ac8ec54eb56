namespace Lamina.Chipset.Timers;

/// <summary>Indices into the CMOS (Motorola MC146818A datasheet, figure 11; the memory sizes and the century are the PC's).</summary>
internal enum RtcRegister
{
    Seconds = 0x00,
    SecondsAlarm = 0x01,
    Minutes = 0x02,
    MinutesAlarm = 0x03,
    Hours = 0x04,
    HoursAlarm = 0x05,
    DayOfWeek = 0x06,
    DayOfMonth = 0x07,
    Month = 0x08,
    Year = 0x09,
    A = 0x0a,
    B = 0x0b,
    C = 0x0c,
    D = 0x0d,
    Equipment = 0x14,
    BaseMemoryLow = 0x15,
    ExtendedMemoryLow = 0x17,
    Checksum = 0x2e,
    ExtendedMemoryCopyLow = 0x30,
    Century = 0x32,
    MemoryAbove16MLow = 0x34,
    MemoryAbove4GLow = 0x5b,
}
