namespace Lamina.SoftCpu.Segmentation;

/// <summary>Where an event comes from, which decides privilege checks, the EXT bit and nested faults.</summary>
internal enum EventKind
{
    /// <summary>A fault, trap or abort raised by the processor.</summary>
    Exception,

    /// <summary>INT n, INT3 and INTO: the gate's DPL is checked.</summary>
    SoftwareInterrupt,

    /// <summary>INT1.</summary>
    PrivilegedSoftwareException,

    /// <summary>A maskable interrupt.</summary>
    ExternalInterrupt,

    /// <summary>NMI.</summary>
    NonMaskable,
}
