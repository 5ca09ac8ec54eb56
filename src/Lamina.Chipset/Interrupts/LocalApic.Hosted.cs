using System.Numerics;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Interrupts;

/// <content>While an accelerator has the local APIC, this one only keeps the record of its state.</content>
public sealed partial class LocalApic
{
    /// <inheritdoc/>
    public void HandOver(LocalApicState state)
    {
        ApplyInit();
        _timer.Suspend();
        state.Base = _base;
        state.TscDeadline = _timer.TscDeadline;
        for (ApicRegister register = 0; register < (ApicRegister)LocalApicState.RegisterCount; register++)
        {
            state.Registers[(int)register] = IsPageRegister(register) && TryReadRegister(register, out ulong value) ? (uint)value : 0;
        }

        for (int word = 0; word < 4; word++)
        {
            PutWord(state, ApicRegister.InterruptRequest, word, _requests.TakeWord(word));
        }
    }

    /// <inheritdoc/>
    public bool TakeBack(LocalApicState state)
    {
        uint[] r = state.Registers;
        const ulong modes = EnableFlag | ExtendedFlag;
        if ((state.Base & _baseReserved) != 0 || (state.Base & modes) == ExtendedFlag)
        {
            Reset();
            return false;
        }

        _initPending = false;
        SetBase(state.Base);
        _taskPriority = (byte)r[(int)ApicRegister.TaskPriority];
        Volatile.Write(ref _logicalDestination, r[(int)ApicRegister.LogicalDestination] & 0xff00_0000);
        Volatile.Write(ref _destinationFormat, r[(int)ApicRegister.DestinationFormat] | 0x0fff_ffff);
        Volatile.Write(ref _spuriousVector, r[(int)ApicRegister.SpuriousVector] & 0x13ff);
        _errorStatus = r[(int)ApicRegister.ErrorStatus];
        _command = (r[(int)ApicRegister.CommandLow] & ~DeliveryPending) | ((ulong)r[(int)ApicRegister.CommandHigh] << 32);
        for (int i = 0; i < EntryCount; i++)
        {
            Volatile.Write(ref _entries[i], r[(int)ApicRegister.LocalTimer + i] & EntryBits[i] & ~DeliveryPending);
        }

        for (int word = 0; word < 4; word++)
        {
            _inService.SetWord(word, GetWord(state, ApicRegister.InService, word));
            ulong requests = GetWord(state, ApicRegister.InterruptRequest, word);
            ulong levels = GetWord(state, ApicRegister.TriggerMode, word);
            if (_bus.IsHosted)
            {
                _requests.SetWord(word, requests);
                _triggerMode.SetWord(word, levels);
            }
            else
            {
                _requests.AddWord(word, requests);
                _triggerMode.AddWord(word, levels);
            }
        }

        _timer.TakeBack(r[(int)ApicRegister.InitialCount], r[(int)ApicRegister.CurrentCount], r[(int)ApicRegister.DivideConfiguration], state.TscDeadline);
        UpdateProcessorPriority();
        return true;
    }

    /// <summary>The record is about to be replaced, and what comes from now on counts.</summary>
    internal void ForgetRequests()
    {
        _requests.ClearAll();
        _triggerMode.ClearAll();
        _externalMessage = false;
    }

    /// <summary>The state has gone to an accelerator, or is this one's again. What was requested here in between goes after it.</summary>
    internal void OnHosted(IHostedInterrupts? hosted)
    {
        if (hosted is null)
        {
            _timer.Resume();
            return;
        }

        _timer.Suspend();
        _externalMessage = false;
        for (int word = 0; word < 4; word++)
        {
            for (ulong rest = _requests.TakeWord(word); rest != 0; rest &= rest - 1)
            {
                byte vector = (byte)((word * 64) + BitOperations.TrailingZeroCount(rest));
                hosted.Send(ApicBus.GetAddress(InitialId), vector | (_triggerMode.Contains(vector) ? 0xc000u : 0));
            }
        }
    }

    private static ulong GetWord(LocalApicState state, ApicRegister first, int word)
    {
        int at = (int)first + (word * 2);
        return state.Registers[at] | ((ulong)state.Registers[at + 1] << 32);
    }

    private static void PutWord(LocalApicState state, ApicRegister first, int word, ulong value)
    {
        int at = (int)first + (word * 2);
        state.Registers[at] = (uint)value;
        state.Registers[at + 1] = (uint)(value >> 32);
    }
}
