using Lamina.Chipset.Interrupts;
using Lamina.Machine.Interrupts;

namespace Lamina.Chipset.Tests.Interrupts;

/// <summary>A guest that ends interrupts by a flag in its memory gets the same interrupts at the same time as one that ends them by the register.</summary>
public sealed class LocalApicFlagTests
{
    private const int Steps = 3000;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void TheFlagChangesNothing(int seed)
    {
        Random random = new(seed);
        Guest[] guests = [new(withFlag: true), new(withFlag: false)];
        int delivered = 0;
        for (int step = 0; step < Steps; step++)
        {
            int action = random.Next(16);
            byte vector = (byte)random.Next(0x30, 0x70);
            byte priority = (byte)random.Next(0, 0x80);
            int pin = random.Next(3);
            foreach (Guest guest in guests)
            {
                guest.Act(action, vector, priority, pin);
            }

            Assert.True(guests[0].Text == guests[1].Text, $"step {step}, action {action}: with the flag {guests[0].Text}, without {guests[1].Text}");
            delivered = guests[0].Delivered;
        }

        Assert.True(delivered > Steps / 20, $"{delivered} interrupts");
        Assert.True(guests[0].EndedByFlag > delivered / 10, $"{guests[0].EndedByFlag} of {delivered} were ended by the flag");
    }

    // A processor that looks at its interrupts as the software CPU does, and the guest on it.
    private sealed class Guest
    {
        private readonly TestBoard _board = new(2);
        private readonly Stack<byte> _handlers = new();
        private readonly Flag? _flag;
        private bool _takes = true;
        private bool _held;
        private int _seen;

        public Guest(bool withFlag)
        {
            _flag = withFlag ? new Flag() : null;
            _board.EnableApics();
            if (_flag != null)
            {
                _board.Apics[0].Connect(_flag);
            }

            for (int pin = 0; pin < 3; pin++)
            {
                // Two levels and an edge.
                _board.Redirect(pin + 16, (uint)(0x41 + (0x10 * pin)) | (pin < 2 ? 0x8000u : 0));
            }
        }

        public int Delivered { get; private set; }

        public int EndedByFlag { get; private set; }

        public string Text => $"{string.Join(' ', _handlers.Select(static v => $"{v:x}"))} after {Delivered}{(_takes ? ", open" : "")}";

        public void Act(int action, byte vector, byte priority, int pin)
        {
            switch (action)
            {
                case < 3:
                    _board.Apics[0].Accept(new InterruptMessage(0, false, DeliveryMode.Fixed, vector, Level: false));
                    break;
                case < 10:
                    End();
                    break;
                case 10:
                    _board.Router.SetLine(pin + 16, true);
                    break;
                case 11:
                    _board.Router.SetLine(pin + 16, false);
                    break;
                case 12:
                    // STI in a handler, or CLI.
                    SetTakes(!_takes);
                    break;
                case 13:
                    _board.Apics[0].TaskPriorityClass = (byte)(priority >> 4);
                    break;
                case 14:
                    _ = _board.Apic(0, 0xa0);
                    break;
                default:
                    if ((priority & 7) == 0)
                    {
                        _board.Apics[0].Accept(new InterruptMessage(0, false, DeliveryMode.Init, 0, false));
                        _ = _board.Apics[0].HasInterrupt;
                        _handlers.Clear();
                        _board.Apic(0, 0xf0, 0x1ff);
                        _takes = true;
                        _held = true;
                    }
                    else
                    {
                        StateBag state = new();
                        _board.Apics[0].Save(state);
                        Assert.True(_board.Apics[0].Restore(state));
                        _held = true;
                    }

                    break;
            }

            Look();
        }

        // The end, and the return from the handler.
        private void End()
        {
            if (_handlers.Count == 0)
            {
                return;
            }

            if (_flag is { IsUp: true })
            {
                _flag.IsUp = false;
                EndedByFlag++;
            }
            else
            {
                _board.Apic(0, 0xb0, 0);
            }

            Look();
            _handlers.Pop();
            SetTakes(true);
        }

        private void SetTakes(bool takes)
        {
            _takes = takes;
            Look();
        }

        private void Look()
        {
            int signals = _board.Processors[0].Interrupts;
            bool arrived = signals != _seen;
            _seen = signals;
            if (!_takes)
            {
                _held |= arrived;
                return;
            }

            if (!arrived && !_held)
            {
                return;
            }

            _held = false;
            if (!_board.Apics[0].HasInterrupt)
            {
                return;
            }

            if (_board.Apics[0].TryAcknowledge(out byte vector))
            {
                _handlers.Push(vector);
                _takes = false;
                Delivered++;
            }

            _held = _board.Apics[0].HasInterrupt;
        }
    }

    private sealed class Flag : IEndOfInterruptFlag
    {
        public bool IsUp { get; set; }

        public bool TryRaise() => IsUp = true;

        public bool Lower()
        {
            bool was = IsUp;
            IsUp = false;
            return was;
        }
    }
}
