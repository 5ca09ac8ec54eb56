namespace Lamina.Chipset.Diagnostics;

/// <summary>Events of the panic device.</summary>
[Flags]
public enum PanicEvents : byte
{
    /// <summary>No event.</summary>
    None = 0,

    /// <summary>The guest has panicked and stops.</summary>
    Panicked = 1,

    /// <summary>The guest has panicked and now runs its own crash kernel.</summary>
    CrashLoaded = 2,
}
