namespace Lamina.Chipset.Interrupts;

/// <summary>Registers of the local APIC: offset in the xAPIC page divided by 16, which is also the MSR minus 0x800 (Intel SDM volume 3, tables 11-1 and 11-6).</summary>
internal enum ApicRegister
{
    Id = 0x02,
    Version = 0x03,
    TaskPriority = 0x08,
    ArbitrationPriority = 0x09,
    ProcessorPriority = 0x0a,
    EndOfInterrupt = 0x0b,
    RemoteRead = 0x0c,
    LogicalDestination = 0x0d,
    DestinationFormat = 0x0e,
    SpuriousVector = 0x0f,
    InService = 0x10,
    TriggerMode = 0x18,
    InterruptRequest = 0x20,
    ErrorStatus = 0x28,
    CommandLow = 0x30,
    CommandHigh = 0x31,
    LocalTimer = 0x32,
    LocalThermal = 0x33,
    LocalPerformance = 0x34,
    LocalInterrupt0 = 0x35,
    LocalInterrupt1 = 0x36,
    LocalError = 0x37,
    InitialCount = 0x38,
    CurrentCount = 0x39,
    DivideConfiguration = 0x3e,
    SelfInterrupt = 0x3f,
}
