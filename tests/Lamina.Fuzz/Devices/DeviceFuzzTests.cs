using Lamina.Machine.Devices;
using Lamina.Vmm;
using Lamina.Vmm.Snapshots;

namespace Lamina.Fuzz.Devices;

/// <summary>
/// Every device of every machine that there can be survives a guest that does anything with it: nothing throws, nothing hangs, memory does not grow with what the guest does, and the machine
/// can be stopped, saved and reset afterwards.
/// </summary>
public sealed class DeviceFuzzTests
{
    private const int Steps = 1500;
    private const long GrowthLimit = 32 << 20;

    [Theory]
    [InlineData(PersonalityKind.Kvm, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.Kvm, VirtioTransport.Mmio, 1)]
    [InlineData(PersonalityKind.VMware, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.HyperV, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.HyperV, VirtioTransport.Pci, 2)]
    [InlineData(PersonalityKind.Xen, VirtioTransport.Pci, 1)]
    public void NothingThatAGuestDoesToDevicesDoesHarm(PersonalityKind personality, VirtioTransport transport, int generation)
    {
        long before = GC.GetTotalMemory(forceFullCollection: true);
        FuzzLoop.Run($"devices-{personality}-{transport}{(generation == 1 ? "" : "-2")}", random =>
        {
            using FuzzedMachine machine = new(personality, transport, generation);
            HostileDriver driver = new(machine, random);
            driver.BringUp();
            for (int step = 0; step < Steps; step++)
            {
                driver.Step();
            }

            machine.Devices.Stop();
            List<StateRecord> records = Save(machine);
            machine.Devices.Reset();
            foreach ((IDevice device, StateRecord record) in machine.Devices.Devices.Zip(records))
            {
                Assert.True(device.Restore(record), $"The device '{device.Name}' does not take the state that it has saved.");
            }

            machine.Devices.Start();
            driver.Step();
            machine.Devices.Stop();
            machine.Devices.Reset();
            machine.Devices.Start();
        });
        long growth = GC.GetTotalMemory(forceFullCollection: true) - before;
        Assert.True(growth < GrowthLimit, $"After all rounds {growth} bytes more are in use than before.");
    }

    [Theory]
    [InlineData(PersonalityKind.Kvm, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.Kvm, VirtioTransport.Mmio, 1)]
    [InlineData(PersonalityKind.VMware, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.HyperV, VirtioTransport.Pci, 1)]
    [InlineData(PersonalityKind.HyperV, VirtioTransport.Pci, 2)]
    [InlineData(PersonalityKind.Xen, VirtioTransport.Pci, 1)]
    public void NoStateThatASnapshotHoldsDoesHarm(PersonalityKind personality, VirtioTransport transport, int generation)
    {
        FuzzLoop.Run($"states-{personality}-{transport}{(generation == 1 ? "" : "-2")}", random =>
        {
            using FuzzedMachine machine = new(personality, transport, generation);
            HostileDriver driver = new(machine, random);
            driver.BringUp();
            machine.Devices.Stop();
            byte[] archive = StateArchive.Write(Save(machine));
            for (int round = 0; round < 8; round++)
            {
                if (StateArchive.Read(FuzzValues.Mutate(random, archive)) is not { } changed)
                {
                    continue;
                }

                foreach (IDevice device in machine.Devices.Devices)
                {
                    if (changed.TryGetValue(device.Name, out StateRecord? record) && !device.Restore(record))
                    {
                        device.Reset();
                    }
                }

                // What was taken is worked with.
                machine.Devices.Start();
                for (int step = 0; step < 100; step++)
                {
                    driver.Step();
                }

                machine.Devices.Stop();
                foreach (IDevice device in machine.Devices.Devices)
                {
                    device.Reset();
                }
            }

            machine.Devices.Start();
        });
    }

    private static List<StateRecord> Save(FuzzedMachine machine)
    {
        List<StateRecord> records = [];
        foreach (IDevice device in machine.Devices.Devices)
        {
            StateRecord record = new(device.Name, 1);
            device.Save(record);
            records.Add(record);
        }

        return records;
    }
}
