using Lamina.Machine.Devices;

namespace Lamina.Chipset.Tests;

/// <summary>What every device must do: its state survives save, reset and restore; stopping is final and may be repeated; garbage is refused or harmless.</summary>
public sealed class DeviceLifecycleTests
{
    public static TheoryData<int> Seeds => [1, 2, 3, 4, 5, 6, 7, 8];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void StateSurvivesSaveResetRestore(int seed)
    {
        TestBoard board = new();
        RegisterFuzzer.Run(board, seed, 3000);
        StateBag[] saved = [.. board.Devices.Select(Save)];
        foreach (IDevice device in board.Devices)
        {
            device.Stop();
        }

        foreach (IDevice device in board.Devices)
        {
            device.Reset();
        }

        for (int i = 0; i < saved.Length; i++)
        {
            Assert.True(board.Devices[i].Restore(saved[i]), $"{board.Devices[i].Name} refuses its own state.");
        }

        for (int i = 0; i < saved.Length; i++)
        {
            Assert.True(saved[i].Describe() == Save(board.Devices[i]).Describe(), $"{board.Devices[i].Name} does not come back as it was saved:\n{saved[i].Describe()}\n--\n{Save(board.Devices[i]).Describe()}");
        }
    }

    [Fact]
    public void StateOfOneBoardStartsAnother()
    {
        TestBoard first = new();
        RegisterFuzzer.Run(first, 42, 2000);
        TestBoard second = new();
        for (int i = 0; i < first.Devices.Length; i++)
        {
            StateBag saved = Save(first.Devices[i]);
            Assert.True(second.Devices[i].Restore(saved), $"{first.Devices[i].Name} refuses the state of its twin.");
            Assert.Equal(saved.Describe(), Save(second.Devices[i]).Describe());
        }
    }

    [Fact]
    public void StoppedDevicesStaySilentAndStopTwice()
    {
        TestBoard board = new();
        RegisterFuzzer.Run(board, 7, 2000);
        foreach (IDevice device in board.Devices)
        {
            device.Stop();
            device.Stop();
        }

        int before = board.Processors.Sum(p => p.Interrupts);
        string state = Save(board.IoApic).Describe() + Save(board.Pic).Describe();
        board.Clock.Advance(10_000_000_000);
        Assert.Equal(before, board.Processors.Sum(p => p.Interrupts));
        Assert.Equal(state, Save(board.IoApic).Describe() + Save(board.Pic).Describe());
        foreach (IDevice device in board.Devices)
        {
            device.Start();
        }

        board.Clock.Advance(1_000_000);
    }

    [Fact]
    public void AnEmptyStateIsRefusedByWhoeverHasAny()
    {
        TestBoard board = new();
        foreach (IDevice device in board.Devices)
        {
            bool hasState = Save(device).Describe().Length > 0;
            Assert.True(device.Restore(new StateBag()) != hasState, $"{device.Name} takes a state without fields.");
            device.Reset();
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void HostileStatesHarmNobody(int seed)
    {
        TestBoard board = new();
        Random random = new(seed);
        for (int round = 0; round < 40; round++)
        {
            foreach (IDevice device in board.Devices)
            {
                StateBag state = Save(device);
                foreach (ushort field in state.Integers.Keys.ToArray())
                {
                    if (random.Next(3) == 0)
                    {
                        state.Integers[field] = random.Next(3) switch
                        {
                            0 => ulong.MaxValue,
                            1 => (ulong)random.NextInt64(),
                            _ => (ulong)random.Next(64),
                        };
                    }
                }

                foreach (byte[] bytes in state.Bytes.Values)
                {
                    if (random.Next(3) == 0)
                    {
                        random.NextBytes(bytes);
                    }
                }

                if (!device.Restore(state))
                {
                    device.Reset();
                }

                device.Start();
            }

            RegisterFuzzer.Run(board, random.Next(), 100);
        }
    }

    [Fact]
    public void AfterResetEveryDeviceIsAsNew()
    {
        TestBoard board = new();
        string[] fresh = [.. board.Devices.Select(d => Save(d).Describe())];
        RegisterFuzzer.Run(board, 11, 3000);
        for (int line = 0; line < 24; line++)
        {
            board.Router.SetLine(line, false); // The garbage drove wires that no device owns.
        }

        for (int round = 0; round < 2; round++)
        {
            foreach (IDevice device in board.Devices)
            {
                device.Reset();
            }
        }

        for (int i = 0; i < fresh.Length; i++)
        {
            // The clock's RAM and time are on a battery; the power timer goes on counting.
            if (board.Devices[i] != board.Rtc && board.Devices[i] != board.Power)
            {
                Assert.True(fresh[i] == Save(board.Devices[i]).Describe(), $"{board.Devices[i].Name} differs after reset:\n{fresh[i]}\n--\n{Save(board.Devices[i]).Describe()}");
            }
        }
    }

    private static StateBag Save(IDevice device)
    {
        StateBag state = new();
        device.Save(state);
        return state;
    }
}
