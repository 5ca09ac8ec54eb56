using Lamina.Machine;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Time;

namespace Lamina.Personalities;

/// <summary>What a personality is made of.</summary>
public sealed record PersonalitySettings
{
    /// <summary>Its own lock.</summary>
    public required ILock Gate { get; init; }

    /// <summary>Guest RAM.</summary>
    public required GuestMemory Memory { get; init; }

    /// <summary>The machine clock.</summary>
    public required IMachineClock Clock { get; init; }

    /// <summary>Where interrupts go.</summary>
    public required IMessageInterruptSink Messages { get; init; }

    /// <summary>Has interrupts of devices go to the personality; null if there is nobody who can.</summary>
    public IInterruptDiversion? Lines { get; init; }

    /// <summary>Where the guest's requests to the machine go; null for nowhere.</summary>
    public IGuestRequests? Requests { get; init; }

    /// <summary>Number of processors, 1 to 64; the APIC identifier of each is its number.</summary>
    public required int ProcessorCount { get; init; }

    /// <summary>Frequency of the time-stamp counters in Hz.</summary>
    public required ulong TscFrequency { get; init; }

    /// <summary>Frequency of the local APIC timers' undivided input in Hz.</summary>
    public required ulong LocalTimerFrequency { get; init; }
}
