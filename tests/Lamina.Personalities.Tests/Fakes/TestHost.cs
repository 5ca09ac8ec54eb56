namespace Lamina.Personalities.Tests.Fakes;

/// <summary>What a personality needs of a machine.</summary>
internal sealed class TestHost(GuestRam ram) : IStolenTime, IDisposable
{
    public TestHost()
        : this(new GuestRam())
    {
    }

    public GuestRam Ram { get; } = ram;

    public ManualClock Clock { get; } = new();

    public RecordingMessages Messages { get; } = new();

    public ulong Stolen { get; set; }

    public PersonalitySettings CreateSettings(int processors = 2, ulong tscFrequency = 1_000_000_000) => new()
    {
        Gate = new CheckedLock(),
        Memory = Ram.Memory,
        Clock = Clock,
        Messages = Messages,
        ProcessorCount = processors,
        TscFrequency = tscFrequency,
        LocalTimerFrequency = 1_000_000_000,
    };

    public ulong GetStolen(int processor) => Stolen;

    public void Dispose() => Ram.Dispose();
}
