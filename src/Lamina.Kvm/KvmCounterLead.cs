namespace Lamina.Kvm;

/// <summary>How far a machine's time-stamp counters were set ahead of the machine clock when one of them was set last.</summary>
/// <param name="frequency">Of the counters, in Hz.</param>
internal sealed class KvmCounterLead(ulong frequency)
{
    // In nanoseconds: processors that go on after one pause see it as equally long but for this, and a pause that counts is longer.
    private const long SamePause = 500_000;
    private long _stoodStill;
    private ulong _lead;
    private bool _isSet;

    /// <summary>Held while a counter is set.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Whether a counter was set so since the machine clock stood still for the last time. If not, the caller's is the first. With the gate held.</summary>
    /// <param name="lead">How far ahead it is to be, in ticks.</param>
    /// <param name="stoodStill">How long the machine clock has stood still until now, from any origin, in nanoseconds.</param>
    public bool Follows(ulong lead, long stoodStill)
    {
        bool follows = _isSet && Math.Abs(stoodStill - _stoodStill) < SamePause && Math.Abs((long)(lead - _lead)) < (long)(frequency / 100);
        if (!follows)
        {
            (_isSet, _stoodStill, _lead) = (true, stoodStill, lead);
        }

        return follows;
    }
}
