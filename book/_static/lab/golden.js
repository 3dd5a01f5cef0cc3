/* The golden runs that engine.js knows how to compute, and their digests (from data/golden.json).
   Written by tools/write_lab_data.py. */
trajlab.define(function golden(trajlab) {
  trajlab.golden = [
   {
    "name": "iris, lr = 0.01, 5,000 steps",
    "run": {
     "task": "iris",
     "split_seed": 0,
     "sizes": [
      4,
      10,
      3
     ],
     "activation": "sigmoid",
     "loss": "cross_entropy",
     "lr": 0.01,
     "weight_decay": 0.0,
     "networks": 20,
     "steps": 5000,
     "init_seed": 0
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "93d2573adebc42e3c11ba5bf632e56ecda852978d789f6c3723bab50928bacbf"
   },
   {
    "name": "iris, lr = 1, 5,000 steps",
    "run": {
     "task": "iris",
     "split_seed": 0,
     "sizes": [
      4,
      10,
      3
     ],
     "activation": "sigmoid",
     "loss": "cross_entropy",
     "lr": 1.0,
     "weight_decay": 0.0,
     "networks": 20,
     "steps": 5000,
     "init_seed": 0
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "e1910610d0e860629b3dacedb6381a420b6d1ebd891233948ff36e7157dd4091"
   },
   {
    "name": "iris, lr = 5, 10,000 steps",
    "run": {
     "task": "iris",
     "split_seed": 0,
     "sizes": [
      4,
      10,
      3
     ],
     "activation": "sigmoid",
     "loss": "cross_entropy",
     "lr": 5.0,
     "weight_decay": 0.0,
     "networks": 20,
     "steps": 10000,
     "init_seed": 0
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "890aceb6cdef2f34edc45c837f813ed5ac8dfd9479b9fa93e040d79bb0c7b4c2"
   },
   {
    "name": "iris, tanh, lr = 1, weight decay, 2,000 steps",
    "run": {
     "task": "iris",
     "split_seed": 0,
     "sizes": [
      4,
      10,
      3
     ],
     "activation": "tanh",
     "loss": "cross_entropy",
     "lr": 1.0,
     "weight_decay": 0.0001,
     "networks": 20,
     "steps": 2000,
     "init_seed": 0
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "c04a2c209e9e4db9708572b31074ee49c8a6162cdcab71e722cb6455092cbac9"
   },
   {
    "name": "softmax map, kappa = 10, 10,000 steps",
    "run": {
     "task": "iris",
     "split_seed": 1,
     "kappa": 10.0,
     "networks": 20,
     "steps": 10000,
     "init_seed": 0
    },
    "initial": "0611b78ccffc1d716605ea827d4fa41e3a975442148b7c3e241d8a8f648d4744",
    "final": "89c2034cbf0baadfa6f51db515efbd52fe29e884e55eec2a1a2bc59ca53af191"
   }
  ];
});
