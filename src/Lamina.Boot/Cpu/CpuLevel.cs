namespace Lamina.Boot.Cpu;

/// <summary>The micro-architecture levels of the x86-64 psABI (section 3.1.1), and what is beyond.</summary>
internal enum CpuLevel
{
    /// <summary>x86-64-v2, with the system features that every model has.</summary>
    V2,

    /// <summary>x86-64-v3.</summary>
    V3,

    /// <summary>Everything.</summary>
    Max,
}
