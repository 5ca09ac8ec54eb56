using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>The registers for commands, and the saved state.</summary>
public sealed partial class Vmxnet3Device
{
    private const uint SupportedRevisions = 3;
    private const uint SupportedUptVersions = 1;

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, _shared);
        state.Write(2, _queues);
        state.Write(3, (ulong)_answer);
        state.Write(4, (ulong)(uint)_transmitCount);
        state.Write(5, (ulong)(uint)_receiveCount);
        state.Write(6, (ulong)_eventInterrupt);
        state.Write(7, _active);
        _interrupts.Save(state, 8);
        state.Write(11, _features | ((ulong)_revision << 32) | ((ulong)(uint)_mostParts << 40));
        Function.Save(state, 12);
        _vlans.Save(state, 16);
        _scaling.Save(state, 20);
        _filter.Save(state, 24);
        state.Write(27, _linkTold);
        for (int i = 0; i < MaximumQueues; i++)
        {
            _transmit[i].Save(state, (ushort)(32 + (i * 16)));
            _receive[i].Save(state, (ushort)(32 + ((MaximumQueues + i) * 16)));
        }
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        byte transmit = 0;
        byte receive = 0;
        bool valid = state.TryTake(1, ref _shared) & state.TryTake(2, ref _queues) & state.TryTake(3, ref _answer) & state.TryTake(4, MaximumQueues, ref transmit)
            & state.TryTake(5, MaximumQueues, ref receive) & state.TryTake(6, ref _eventInterrupt) & state.TryTake(7, ref _active);
        (_transmitCount, _receiveCount) = (transmit, receive);

        // Snapshots of before it took such frames have none of this.
        ulong offloads = state.TryRead(11, out ulong saved) ? saved : (ulong)ushort.MaxValue << 40;
        (_features, _revision, _mostParts) = ((uint)offloads, (byte)(offloads >> 32), (ushort)(offloads >> 40));

        // Nor of addresses and of what they know of their link. The wire is another, which says if it is not whole.
        _linkTold = true;
        valid &= !state.TryRead(27, out _) || state.TryTake(27, ref _linkTold);
        valid = valid && _filter.Restore(state, 24) && _interrupts.Restore(state, 8) && Function.Restore(state, 12) && _vlans.Restore(state, 16) && _scaling.Restore(state, 20, receive);
        for (int i = 0; i < MaximumQueues && valid; i++)
        {
            valid = _transmit[i].Restore(state, (ushort)(32 + (i * 16))) && _receive[i].Restore(state, (ushort)(32 + ((MaximumQueues + i) * 16)));
        }

        return valid;
    }

    private uint ReadControl(ulong offset)
    {
        switch (offset)
        {
            case Vmxnet3Register.Revisions:
                return SupportedRevisions;
            case Vmxnet3Register.UptVersions:
                return SupportedUptVersions;
            case Vmxnet3Register.Command:
                return _answer;
            case Vmxnet3Register.AddressLow:
                return BinaryPrimitives.ReadUInt32LittleEndian(_filter.Address);
            case Vmxnet3Register.AddressHigh:
                return BinaryPrimitives.ReadUInt16LittleEndian(_filter.Address[4..]);
            case Vmxnet3Register.InterruptCause:
                // Reading lowers the line.
                Function.SetInterrupt(false);
                return 1;
            default:
                return 0;
        }
    }

    private void WriteControl(ulong offset, uint value)
    {
        switch (offset)
        {
            case Vmxnet3Register.Revisions:
                _revision = value & SupportedRevisions;
                break;
            case Vmxnet3Register.SharedLow:
                _shared = (_shared & ~(ulong)uint.MaxValue) | value;
                break;
            case Vmxnet3Register.SharedHigh:
                _shared = (_shared & uint.MaxValue) | ((ulong)value << 32);
                break;
            case Vmxnet3Register.Command:
                Execute((Vmxnet3Command)value);
                break;
            case Vmxnet3Register.AddressLow:
                BinaryPrimitives.WriteUInt32LittleEndian(_filter.Address, value);
                break;
            case Vmxnet3Register.AddressHigh:
                BinaryPrimitives.WriteUInt16LittleEndian(_filter.Address[4..], (ushort)value);
                break;
            case Vmxnet3Register.EventCause when _memory.TryRead(_shared + SharedArea.EventCause, out uint events):
                _memory.TryWrite(_shared + SharedArea.EventCause, events & ~value);
                break;
        }
    }

    private void Execute(Vmxnet3Command command)
    {
        _answer = 0;
        switch (command)
        {
            case Vmxnet3Command.ActivateDevice:
                _answer = TryActivate() ? 0u : 1u;
                break;
            case Vmxnet3Command.QuiesceDevice or Vmxnet3Command.ResetDevice:
                ResetDevice();
                break;
            case Vmxnet3Command.UpdateFeatures when _active && _memory.TryRead(_shared + SharedArea.Features, out uint features):
                _features = features;
                SetReceiveOffloads();
                ReadScaling();
                break;
            case Vmxnet3Command.UpdateReceiveMode or Vmxnet3Command.UpdateVlanFilters when _active:
                _filter.Read(_memory, _shared, withGroups: false);
                _vlans.Read(_memory, _shared);
                break;
            case Vmxnet3Command.UpdateAddressFilters when _active:
                _filter.Read(_memory, _shared, withGroups: true);
                break;
            case Vmxnet3Command.UpdateScalingTable when _active:
                ReadScaling();
                break;
            case Vmxnet3Command.GetQueueStatus or Vmxnet3Command.GetStatistics:
                DescribeQueues(command == Vmxnet3Command.GetStatistics);
                break;
            case Vmxnet3Command.GetLink:
                _answer = _linkUp ? LinkUp : 0;
                break;
            case Vmxnet3Command.GetPermanentAddressLow:
                _answer = BinaryPrimitives.ReadUInt32LittleEndian(_filter.Permanent);
                break;
            case Vmxnet3Command.GetPermanentAddressHigh:
                _answer = BinaryPrimitives.ReadUInt16LittleEndian(_filter.Permanent[4..]);
                break;
            case Vmxnet3Command.GetDeviceIdLow:
                _answer = DeviceId;
                break;
            case Vmxnet3Command.GetDeviceIdHigh:
                _answer = 1;
                break;
        }
    }

    private void DescribeQueues(bool statistics)
    {
        for (int i = 0; i < _transmitCount; i++)
        {
            _transmit[i].Describe(_queues + ((uint)i * SharedArea.QueueLength), statistics);
        }

        for (int i = 0; i < _receiveCount; i++)
        {
            _receive[i].Describe(statistics);
        }
    }

    /// <summary>Base address register 1.</summary>
    private sealed class ControlWindow(Vmxnet3Device device) : IRegisterWindow
    {
        public AccessResult Read(ulong offset, Span<byte> data)
        {
            device._gate.Enter();
            LittleEndian.Put(data, device.ReadControl(offset));
            device._gate.Exit();
            return AccessResult.Done;
        }

        public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            device._gate.Enter();
            device.WriteControl(offset, (uint)LittleEndian.Get(data));
            bool resume = device._active && offset == Vmxnet3Register.Command && device.BeginResume();
            device._gate.Exit();
            device.EndResume(resume);
            return AccessResult.Done;
        }
    }
}
