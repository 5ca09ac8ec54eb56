using System.Diagnostics;
using Lamina.Machine.Processors;

namespace Lamina.Kvm;

/// <summary>
/// The time-stamp counter. It counts the machine clock, but KVM's runs on while the machine is paused, and on a clock that the host does not correct: so it is set at the start and
/// after a pause, and deadlines are turned from the one into the other.
/// </summary>
internal sealed unsafe partial class KvmProcessor
{
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private bool _timePending = true;
    private bool _timeNoted;
    private readonly bool _hasClock;
    private ulong _tscOffset;
    private ulong _lead;
    private readonly Machine.Personalities.ICounterLead? _follower;
    private ulong _leadTold;

    // How often a personality is told where the counter is, in nanoseconds of running.
    private const ulong LeadPeriod = 10_000_000;
    private const int MostMeasurements = 5;

    private ulong MachineTicks => (ulong)((UInt128)_settings.Clock.Now * _settings.TscFrequency / NanosecondsPerSecond);

    private ulong GuestTicks => _kvm.TryGetMsr(KvmMsrs.TimeStampCounter, out ulong value) ? value : 0;

    // The state's idea of the time, to be set when the processor first runs.
    private void TakeTime(ProcessorState state)
    {
        _tscOffset = 0;
        foreach (MsrValue msr in state.Msrs)
        {
            if (msr.Index == KvmMsrs.TscAdjust)
            {
                _tscOffset = msr.Value;
                break;
            }

            if (msr.Index == KvmMsrs.TimeStampCounter)
            {
                _tscOffset = msr.Value - MachineTicks;
            }
        }

        _timePending = true;
        _timeNoted = false;
    }

    // How far the guest's counter is ahead of the machine clock now that the processor leaves.
    private void NoteTime()
    {
        _lead = MeasureLead();
        _timeNoted = true;
        HoldDeadline();
        if (_hasClock)
        {
            // A guest that looks for lockups is to know. KVM refuses it while the guest does not use the clock.
            _ = _kvm.NoteStop();
        }
    }

    // It is as far ahead when the processor goes on, unless the machine clock stood still meanwhile.
    private void ContinueTime()
    {
        if (_timePending)
        {
            _timePending = false;
            SetClock();
            SetCounter(_tscOffset);
            TellLead();
        }
        else if (_timeNoted)
        {
            ulong gained = MeasureLead() - _lead;
            if ((long)gained > (long)(_settings.TscFrequency / 1000))
            {
                SetCounter(_lead);
                SetClock();
                TellLead();
            }
        }

        FollowTime();
        _timeNoted = false;
        ReleaseDeadline();
    }

    // KVM takes a value that is less than a second off what it expects after the machine's last one as meant to go on from there, for the counters of all processors are to go alike. So the first processor
    // that goes on after a pause sets one far off before, and the others follow it.
    private void SetCounter(ulong lead)
    {
        const ulong FarOff = 1UL << 62;
        lock (_partition.CounterLead.Gate)
        {
            long stoodStill = (long)Stopwatch.GetElapsedTime(0).TotalNanoseconds - (long)_settings.Clock.Now;
            if (!_partition.CounterLead.Follows(lead, stoodStill))
            {
                _ = _kvm.TrySetMsr(KvmMsrs.TimeStampCounter, (MachineTicks + lead) ^ FarOff);
            }

            _ = _kvm.TrySetMsr(KvmMsrs.TimeStampCounter, MachineTicks + lead);
        }
    }

    // The host may do something else between the reading of a counter and of the clock: the best of a few pairs counts.
    private ulong MeasureLead()
    {
        ulong good = _settings.TscFrequency / 100_000;
        ulong least = ulong.MaxValue;
        ulong lead = 0;
        for (int n = 0; n < MostMeasurements && least > good; n++)
        {
            ulong before = MachineTicks;
            ulong counter = GuestTicks;
            ulong took = MachineTicks - before;
            if (took < least)
            {
                (least, lead) = (took, counter - before - (took / 2));
            }
        }

        return lead;
    }

    // Guests compute the time by their counters, which do not go quite by the machine clock.
    private void FollowTime()
    {
        if (_follower is not null && _settings.Clock.Now - _leadTold >= LeadPeriod)
        {
            TellLead();
        }
    }

    private void TellLead()
    {
        if (_follower is { } follower)
        {
            _leadTold = _settings.Clock.Now;
            follower.OnLead(Index, (long)MeasureLead());
        }
    }

    // One clock for the whole machine.
    private void SetClock()
    {
        if (_hasClock && Index == 0)
        {
            _partition.SetClock();
        }
    }

    // A deadline on the guest's counter as the local APIC, which goes by the machine clock, understands it. Zero disarms.
    private ulong ToMachineTicks(ulong deadline)
    {
        if (deadline == 0)
        {
            return 0;
        }

        long ahead = (long)(deadline - GuestTicks);
        ulong now = MachineTicks;
        return ahead < 0 && (ulong)-ahead >= now ? 1 : now + (ulong)ahead;
    }

    private ulong FromMachineTicks(ulong deadline) => deadline == 0 ? 0 : deadline - MachineTicks + GuestTicks;
}
