using Lamina.Boot;
using Lamina.Boot.Acpi;
using Lamina.Chipset.Power;
using Lamina.Machine.Processors;
using Lamina.Personalities.VMware;

namespace Lamina.Vmm;

/// <summary>The buttons, resets and sleep of the machine, and how its guest is asked to stop and to start again.</summary>
internal sealed partial class MachineController
{
    /// <summary>On the event loop, so that it cannot come after the machine's end.</summary>
    internal void PressPowerButton() => _powerButton.Schedule();

    internal void Wake() => _wakeUp.Schedule();

    // A guest that is awake would take the button as a wish to stop.
    private void WakeUp()
    {
        if (Devices.Power.Sleep != SleepState.Working)
        {
            Devices.Power.PressPowerButton();
        }
    }

    // A guest that listens to its control domain, its parent partition, or its tools' host is asked there.
    private void AskForPowerOff()
    {
        if (Devices.Paravirtual?.ControlDomain?.TryPowerOff() != true && Devices.Paravirtual?.Services?.Shutdown.TryPowerOff() != true
            && (Devices.Personality as VMwarePersonality)?.Tools.TryPowerOff() != true)
        {
            Devices.Power.PressPowerButton();
        }
    }

    /// <summary>Any thread.</summary>
    internal bool TryRestart() => Devices.Paravirtual?.ControlDomain?.TryRestart() == true || Devices.Paravirtual?.Services?.Shutdown.TryRestart() == true
        || (Devices.Personality as VMwarePersonality)?.Tools.TryRestart() == true;

    internal void RequestReset()
    {
        if (_bootLoader == null)
        {
            // It began in a snapshot's state, which has no kernel to load.
            RequestEnd(new MachineResult(MachineOutcome.Rebooted));
            return;
        }

        lock (_gate)
        {
            _resetRequested = true;
            RequestHold();
        }

        _control.Schedule();
    }

    // Suspends to RAM, and wakes. Another round follows each change of the state.
    private bool TrySleep(SleepState state)
    {
        if (state != SleepState.Working && !_asleep)
        {
            Devices.LosePower();
            Volatile.Write(ref _asleep, true);
        }

        if (state == SleepState.Waking)
        {
            if (!TryWake())
            {
                RequestReset();
                return false;
            }

            Devices.Power.FinishWaking();
            Volatile.Write(ref _asleep, false);
        }

        return true;
    }

    // As firmware does: the guest goes on where it has said. One that has said nothing is started again.
    private bool TryWake()
    {
        bool restored = true;
        for (int i = 0; i < _processors.Length; i++)
        {
            restored &= _processors[i].Processor.Restore(_powerOnStates[i]);
            _processors[i].ForgetShutdown();
        }

        ProcessorState entry = new();
        _processors[0].Processor.Save(entry);
        ForgetTime(entry);
        return restored && WakingVector.TryEnter(_memory, entry) && _processors[0].Processor.Restore(entry);
    }

    private bool TryReset()
    {
        try
        {
            Reset();
            Volatile.Write(ref _asleep, false);
            return true;
        }
        catch (BootException e)
        {
            RequestEnd(new MachineResult(MachineOutcome.Failed, Message: $"the machine cannot be booted again: {e.Message}"));
            return false;
        }
    }

    // While no processor runs.
    private void Reset()
    {
        Devices.Reset();
        if (_bootLoader!.Protocol == BootProtocol.Multiboot)
        {
            Devices.EnterBiosState();
        }

        _bootLoader.Load(_memory, AcpiTables.RootPointerAddress);
        if (_bootLoader.Protocol != BootProtocol.Rom)
        {
            WriteTables();
        }

        bool restored = true;
        for (int i = 0; i < _processors.Length; i++)
        {
            restored &= _processors[i].Processor.Restore(_powerOnStates[i]);
            _processors[i].ForgetShutdown();
        }

        ProcessorState entry = new();
        _processors[0].Processor.Save(entry);
        ForgetTime(entry);
        _bootLoader.SetEntryState(entry);
        if (!restored || !_processors[0].Processor.Restore(entry))
        {
            throw new BootException($"The accelerator '{_execution.AcceleratorName}' refuses the state at the kernel's entry.");
        }
    }

    // A ROM has their place.
    private void WriteTables()
    {
        _acpi ??= new AcpiTables(_acpiConfiguration);
        bool written = _memory.TryWrite(AcpiTables.RootPointerAddress, _acpi.RootPointer.Span) && _memory.TryWrite(AcpiTables.TablesAddress, _acpi.Tables.Span);
        if (!written || !WriteGeneration())
        {
            throw new BootException("The ACPI tables do not fit below 1 MiB.");
        }
    }

    // The time-stamp counters follow the machine clock, through resets too: a value of some moment would set one behind the others.
    private static void ForgetTime(ProcessorState state)
    {
        state.Msrs.RemoveAll(static m => m.Index == TimeStampCounter);
    }
}
