/* The golden runs, for the worker, and their digests (from data/golden.json).
   Written by tools/write_lab_data.py. */
trajlab.define(function golden(trajlab) {
  trajlab.golden = [
   {
    "name": "iris, lr = 0.01, 5,000 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 5000,
     "descent": {
      "activation": "sigmoid",
      "lr": 0.01,
      "decay": 0.0
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "93d2573adebc42e3c11ba5bf632e56ecda852978d789f6c3723bab50928bacbf"
   },
   {
    "name": "iris, lr = 1, 5,000 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 5000,
     "descent": {
      "activation": "sigmoid",
      "lr": 1.0,
      "decay": 0.0
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "e1910610d0e860629b3dacedb6381a420b6d1ebd891233948ff36e7157dd4091"
   },
   {
    "name": "iris, lr = 5, 10,000 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 10000,
     "descent": {
      "activation": "sigmoid",
      "lr": 5.0,
      "decay": 0.0
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "890aceb6cdef2f34edc45c837f813ed5ac8dfd9479b9fa93e040d79bb0c7b4c2"
   },
   {
    "name": "iris, tanh, lr = 1, weight decay, 2,000 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 2000,
     "descent": {
      "activation": "tanh",
      "lr": 1.0,
      "decay": 0.0001
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "c04a2c209e9e4db9708572b31074ee49c8a6162cdcab71e722cb6455092cbac9"
   },
   {
    "name": "softmax map, kappa = 10, 10,000 steps",
    "job": {
     "split": 1,
     "seed": 0,
     "networks": 20,
     "steps": 10000,
     "kappa": 10.0
    },
    "initial": "0611b78ccffc1d716605ea827d4fa41e3a975442148b7c3e241d8a8f648d4744",
    "final": "89c2034cbf0baadfa6f51db515efbd52fe29e884e55eec2a1a2bc59ca53af191"
   },
   {
    "name": "iris, two hidden layers, tanh, lr = 1, 500 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 500,
     "network": {
      "sizes": [
       4,
       6,
       5,
       3
      ],
      "activation": "tanh",
      "loss": "cross_entropy",
      "bias": true,
      "scale": null,
      "rule": {
       "name": "gradient descent",
       "p": 0.0,
       "q": 0.0,
       "eps": 0.0,
       "decay": 0.0,
       "decoupled": false
      },
      "lr": 1.0,
      "batches": null
     }
    },
    "initial": "7fda947a71f3ab7a1175d89358820454ce3bf4a418d670c123494dd72f6c5fc9",
    "final": "246d298f278dcf147570858b350ac156fe111270a6f877b4b7149d047beba96c"
   },
   {
    "name": "iris, heavy ball, lr = 1, 500 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 500,
     "network": {
      "sizes": [
       4,
       10,
       3
      ],
      "activation": "sigmoid",
      "loss": "cross_entropy",
      "bias": true,
      "scale": null,
      "rule": {
       "name": "heavy ball",
       "p": 0.9,
       "q": 0.0,
       "eps": 0.0,
       "decay": 0.0,
       "decoupled": false
      },
      "lr": 1.0,
      "batches": null
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "8b0c872a403fce8efd43e52042ebdf2895c43cabb753f49bff1cd0489162aee7"
   },
   {
    "name": "iris, Adam, lr = 0.1, 500 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 500,
     "network": {
      "sizes": [
       4,
       10,
       3
      ],
      "activation": "sigmoid",
      "loss": "cross_entropy",
      "bias": true,
      "scale": null,
      "rule": {
       "name": "Adam",
       "p": 0.9,
       "q": 0.999,
       "eps": 1e-08,
       "decay": 0.0,
       "decoupled": false
      },
      "lr": 0.1,
      "batches": null
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "8b3d8057cfda08a588e808c15cd659b5aedcc9b6505b795951a0ad343bb9058f"
   },
   {
    "name": "iris, minibatches of 16, lr = 1, 500 steps",
    "job": {
     "split": 0,
     "seed": 0,
     "networks": 20,
     "steps": 500,
     "network": {
      "sizes": [
       4,
       10,
       3
      ],
      "activation": "sigmoid",
      "loss": "cross_entropy",
      "bias": true,
      "scale": null,
      "rule": {
       "name": "gradient descent",
       "p": 0.0,
       "q": 0.0,
       "eps": 0.0,
       "decay": 0.0,
       "decoupled": false
      },
      "lr": 1.0,
      "batches": {
       "size": 16,
       "seed": 0,
       "replacement": false
      }
     }
    },
    "initial": "de41ebc28ce9ce2fc6b1daa5184ae4b4f78e9584d64d237b842249305e94e66f",
    "final": "3bf17261a90f13a852d28925ce703a7821eae63ca3725d243632986ca29b88ed"
   }
  ];
});
