using Lamina.Machine.Devices;

namespace Lamina.Chipset.Interrupts;

/// <content>Saved state.</content>
public sealed partial class LocalApic
{
    private const ushort BaseField = 1;
    private const ushort CommandField = 2;
    private const ushort TaskPriorityField = 3;
    private const ushort LogicalDestinationField = 4;
    private const ushort DestinationFormatField = 5;
    private const ushort SpuriousVectorField = 6;
    private const ushort ErrorStatusField = 7;
    private const ushort PendingErrorsField = 8;
    private const ushort ExternalMessageField = 9;
    private const ushort TimerFields = 10; // to 13
    private const ushort EntryFields = 20; // to 25
    private const ushort RequestFields = 30; // to 33
    private const ushort InServiceFields = 34; // to 37
    private const ushort TriggerModeFields = 38; // to 41
    private const ushort FlagField = 42;

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        ApplyPendingInit();
        state.Write(BaseField, _base);
        state.Write(CommandField, _command);
        state.Write(TaskPriorityField, _taskPriority);
        state.Write(LogicalDestinationField, _logicalDestination);
        state.Write(DestinationFormatField, _destinationFormat);
        state.Write(SpuriousVectorField, _spuriousVector);
        state.Write(ErrorStatusField, _errorStatus);
        state.Write(PendingErrorsField, (uint)_pendingErrors);
        state.Write(ExternalMessageField, _externalMessage);
        state.Write(FlagField, _flagUp);
        _timer.Save(state, TimerFields);
        for (int i = 0; i < EntryCount; i++)
        {
            state.Write((ushort)(EntryFields + i), _entries[i]);
        }

        for (int i = 0; i < 4; i++)
        {
            state.Write((ushort)(RequestFields + i), _requests.GetWord(i));
            state.Write((ushort)(InServiceFields + i), _inService.GetWord(i));
            state.Write((ushort)(TriggerModeFields + i), _triggerMode.GetWord(i));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        _initPending = false;
        ulong address = 0;
        uint errors = 0;
        bool external = false;
        bool valid = state.TryTake(BaseField, ref address)
            & state.TryTake(CommandField, ref _command)
            & state.TryTake(TaskPriorityField, ref _taskPriority)
            & state.TryTake(LogicalDestinationField, ref _logicalDestination)
            & state.TryTake(DestinationFormatField, ref _destinationFormat)
            & state.TryTake(SpuriousVectorField, ref _spuriousVector)
            & state.TryTake(ErrorStatusField, ref _errorStatus)
            & state.TryTake(PendingErrorsField, ref errors)
            & state.TryTake(ExternalMessageField, ref external);
        for (int i = 0; i < EntryCount; i++)
        {
            valid &= state.TryTake((ushort)(EntryFields + i), ref _entries[i]) && (_entries[i] & ~EntryBits[i]) == 0;
        }

        valid &= RestoreVectors(state, RequestFields, ref _requests)
            & RestoreVectors(state, InServiceFields, ref _inService)
            & RestoreVectors(state, TriggerModeFields, ref _triggerMode)
            & _timer.Restore(state, TimerFields);
        const ulong modes = EnableFlag | ExtendedFlag;
        if (!valid || (address & _baseReserved) != 0 || (address & modes) == ExtendedFlag || (_spuriousVector & ~0x13ffu) != 0)
        {
            return false;
        }

        _destinationFormat |= 0x0fff_ffff;
        _logicalDestination &= 0xff00_0000;
        _pendingErrors = (int)errors;
        _externalMessage = external;

        // Machines of before have none.
        _flagUp = state.TryRead(FlagField, out ulong flag) && flag == 1;
        SetBase(address);
        UpdateProcessorPriority();
        return true;
    }

    private static bool RestoreVectors(IStateReader state, ushort firstField, ref VectorBitmap vectors)
    {
        bool valid = true;
        for (int i = 0; i < 4; i++)
        {
            ulong word = 0;
            valid &= state.TryTake((ushort)(firstField + i), ref word);
            vectors.SetWord(i, word);
        }

        return valid;
    }
}
