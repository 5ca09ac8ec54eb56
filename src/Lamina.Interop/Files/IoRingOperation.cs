namespace Lamina.Interop.Files;

/// <summary>What a request in a ring does; the values are the kernel's.</summary>
public enum IoRingOperation
{
    /// <summary>Reads.</summary>
    Read = 1,

    /// <summary>Writes.</summary>
    Write = 2,

    /// <summary>Makes durable what was written.</summary>
    Synchronize = 3,
}
