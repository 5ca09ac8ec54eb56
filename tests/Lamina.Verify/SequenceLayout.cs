using Iced.Intel;

namespace Lamina.Verify;

/// <summary>The instructions of a sequence in their order, jumps with the instruction that they lead to.</summary>
internal sealed class SequenceLayout
{
    private readonly Item _end = new([]);

    public List<Item> Items { get; } = [];

    /// <summary>What is behind the last one.</summary>
    public Item End => _end;

    /// <summary>The layout of a sequence.</summary>
    public static SequenceLayout Parse(TestCase test, ICaseSource decoder)
    {
        SequenceLayout layout = new();
        foreach (byte[] code in test.Split())
        {
            layout.Items.Add(new Item(code));
        }

        int at = 0;
        List<int> starts = [];
        foreach (Item item in layout.Items)
        {
            starts.Add(at);
            at += item.Code.Length;
        }

        for (int n = 0; n < layout.Items.Count; n++)
        {
            Instruction i = decoder.Decode(layout.Items[n].Code);
            if (i.Op0Kind == OpKind.NearBranch64)
            {
                int target = starts.IndexOf((int)(long)(i.NearBranch64 - Arena.Slot) + starts[n]);
                layout.Items[n].Target = target < 0 ? layout.End : layout.Items[target];
                layout.Items[n].DistanceSize = i.Code.ToString().Contains("rel8", StringComparison.Ordinal) ? 1 : sizeof(int);
            }
        }

        return layout;
    }

    /// <summary>Takes an instruction out; what led to it leads behind it.</summary>
    public void Remove(int index)
    {
        Item removed = Items[index];
        Item next = index + 1 < Items.Count ? Items[index + 1] : End;
        Items.RemoveAt(index);
        foreach (Item item in Items)
        {
            item.Target = item.Target == removed ? next : item.Target;
        }
    }

    /// <summary>Puts the instructions one behind the other into a case.</summary>
    /// <returns>Whether they fit, and their jumps reach.</returns>
    public bool TryWrite(TestCase test)
    {
        Dictionary<Item, int> starts = [];
        int at = 0;
        foreach (Item item in Items)
        {
            starts[item] = at;
            at += item.Code.Length;
        }

        starts[End] = at;
        if (at > TestCase.MaximumSequence)
        {
            return false;
        }

        test.Lengths.Clear();
        test.Code.AsSpan().Clear();
        test.Length = at;
        foreach (Item item in Items)
        {
            Span<byte> place = test.Code.AsSpan(starts[item], item.Code.Length);
            item.Code.CopyTo(place);
            test.Lengths.Add(item.Code.Length);
            if (item.Target == null)
            {
                continue;
            }

            int distance = starts[item.Target] - starts[item] - item.Code.Length;
            if (item.DistanceSize == 1 && (sbyte)distance != distance)
            {
                return false;
            }

            if (item.DistanceSize == 1)
            {
                place[^1] = (byte)distance;
            }
            else
            {
                BitConverter.TryWriteBytes(place[^sizeof(int)..], distance);
            }
        }

        return true;
    }

    /// <summary>An instruction.</summary>
    internal sealed class Item(byte[] code)
    {
        public byte[] Code { get; } = code;

        /// <summary>What it jumps to.</summary>
        public Item? Target { get; set; }

        /// <summary>Bytes of the distance at its end.</summary>
        public int DistanceSize { get; set; }
    }
}
